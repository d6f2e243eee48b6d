"""What the loop of `mmseq pretrain` costs beside its model: images a second of the model alone and of the whole.

    OMP_NUM_THREADS=1 python -m benchmarks.pretrain_speed --out work_dirs/pretrain_speed

Both train the same classifier on packed random images, in one process; the whole has data, augmentation, hooks and logs
besides. Processor time is what the process itself used, whatever else the machine does; the wall clock is beside it.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmseq.classify.pretrain import pretrain
from mmseq.classify.settings import Pretraining, backbone_config
from mmseq.compat.allocator import keep_memory
from mmseq.datasets.classes.packing import NOTE
from mmseq.files import write_json
from mmseq.registry import MODELS

CLASSES = 200
# Left out: memory is found, and threads start.
FIRST = 2


def clocks() -> np.ndarray:
    """Seconds of the processor and of the wall."""
    return np.array([time.process_time(), time.perf_counter()])


@HOOKS.register_module()
class ClockHook(Hook):
    """Keeps the clocks of each iteration of a run."""

    priority = 'LOWEST'
    readings: list[np.ndarray] = []

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        self.readings.append(clocks())


class Clocked(Pretraining):
    """A pretraining whose iterations are timed."""

    def __call__(self, cfg: Config, options: Any) -> None:
        super().__call__(cfg, options)
        cfg.custom_hooks.append(dict(type='ClockHook'))


def packed(root: Path, side: int, images: int) -> Path:
    """Packed random images."""
    root.mkdir(parents=True)
    counts = dict(train=images, val=CLASSES)
    for part, count in counts.items():
        np.save(root / f'{part}.npy', np.random.randint(0, 256, (count, side, side, 3), np.uint8))
        np.save(root / f'{part}_labels.npy', np.arange(count) % CLASSES)
    names = [str(i) for i in range(CLASSES)]
    write_json(root / NOTE, dict(classes=names, side=side, images=counts, fingerprint='', damaged=[]))
    return root


def alone(backbone: str, side: int, batch: int, iterations: int) -> list[np.ndarray]:
    """The clocks of each step of the model alone, on one batch."""
    model = MODELS.build(
        dict(type='mmseq.ImageClassifier', backbone=backbone_config(backbone), num_classes=CLASSES, label_smoothing=0.1)
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05, fused=True)
    images = torch.randn(batch, side, side, 3).permute(0, 3, 1, 2)
    labels = torch.arange(batch) % CLASSES
    readings = []
    for _ in range(iterations):
        optimizer.zero_grad()
        model(images, labels, mode='loss')['loss'].backward()
        optimizer.step()
        readings.append(clocks())
    return readings


def speeds(readings: list[np.ndarray], batch: int) -> dict[str, float]:
    """Images a second by both clocks."""
    seconds = np.median(np.diff(np.array(readings[FIRST:]), axis=0), axis=0)
    return dict(zip(('processor', 'wall'), np.round(batch / seconds, 1).tolist()))


def main() -> None:
    """Measure, print and write pretrain_speed.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--backbone', default='sequencer2d_nano')
    parser.add_argument('--image-size', type=int, default=64)
    parser.add_argument('--batch', type=int, default=256)
    parser.add_argument('--iterations', type=int, default=12)
    parser.add_argument('--out', type=Path, required=True, help='new folder')
    args = parser.parse_args()
    # As a run on a CPU does; it counts for more than all that is measured here.
    keep_memory()
    data = packed(args.out / 'packed', args.image_size, args.batch * args.iterations)
    before = alone(args.backbone, args.image_size, args.batch, args.iterations)
    pretrain(Clocked(args.backbone, str(data), 1, batch=args.batch), work_dir=str(args.out / 'run'))
    after = alone(args.backbone, args.image_size, args.batch, args.iterations)
    found = dict(
        alone=speeds(before, args.batch),
        whole=speeds(ClockHook.readings, args.batch),
        alone_again=speeds(after, args.batch),
        threads=torch.get_num_threads(),
        **{name: getattr(args, name) for name in ('backbone', 'image_size', 'batch', 'iterations')},
    )
    write_json(args.out / 'pretrain_speed.json', found)
    print(json.dumps(found))


if __name__ == '__main__':
    main()
