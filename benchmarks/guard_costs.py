"""What the guards of a training cost, in milliseconds of CPU on one thread: python benchmarks/guard_costs.py.

Writes benchmarks/results/guard_costs.json. --coco-size also checks a generated annotation file as large as COCO's.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmseq.datasets.checks import Use, examine_coco
from mmseq.datasets.checks.images import decode
from mmseq.datasets.shapes import generate
from mmseq.datasets.tolerant import inspect
from mmseq.engine.hooks import BadNumbersHook
from mmseq.files import write_json

RESULT = Path(__file__).parent / 'results' / 'guard_costs.json'


class Layers(BaseModel):
    """As many parameters as Sequencer2D-s and some batch norms, and next to no computation."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(512, 512) for _ in range(104))
        self.norms = nn.ModuleList(nn.BatchNorm1d(512) for _ in range(50))

    def forward(self, inputs: Tensor, mode: str = 'loss') -> dict[str, Tensor]:
        return {'loss': sum((p * 1e-9).sum() for p in self.linear.parameters())}


def milliseconds(work: Callable[[], object], times: int) -> float:
    """CPU time of one call, the best of five rounds."""
    work()
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - start) / times * 1e3)
    return round(min(rounds), 3)


def files(root: Path) -> dict[str, float]:
    ade = generate(root / 'shapes', train=32, val=1, size=(512, 640)).root / 'ade/ADEChallengeData2016'
    images = sorted((ade / 'images/training').iterdir())
    labels = sorted((ade / 'annotations/training').iterdir())

    def glance() -> None:
        for image, label in zip(images, labels):
            inspect({}, {'img_path': str(image), 'seg_map_path': str(label)})

    return {
        'look at an image and its label map': round(milliseconds(glance, 3) / len(images), 3),
        'decode an image': round(milliseconds(lambda: [decode(str(path)) for path in images], 1) / len(images), 3),
    }


def steps(work_dir: Path) -> dict[str, float]:
    model = Layers()
    found: dict[str, float] = {'parameters': sum(p.numel() for p in model.parameters())}
    for clip in (None, {'max_norm': 1.0}):
        for hooked in (False, True):
            wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-9), clip_grad=dict(clip) if clip else None)
            hub, hook = wrapper.message_hub, BadNumbersHook()
            runner = SimpleNamespace(
                model=model, optim_wrapper=wrapper, iter=0, message_hub=hub, work_dir=str(work_dir)
            )
            if hooked:
                hook.before_train(runner)

            def step(hooked=hooked, hook=hook, hub=hub, runner=runner) -> None:
                if hooked:
                    hook.before_train_iter(runner, 0)
                losses = model.train_step({'inputs': torch.zeros(1)}, runner.optim_wrapper)
                hub.update_scalar('train/loss', losses['loss'])
                if hooked:
                    hook.after_train_iter(runner, 0, outputs=losses)

            name = f'{"with" if clip else "without"} clipping, {"with" if hooked else "without"} BadNumbersHook'
            found[name] = milliseconds(step, 5)
            if hooked:
                hook.after_train(runner)
    return found


def coco_size(root: Path, images: int = 118287, annotations: int = 860001) -> dict[str, float]:
    draw = random.Random(0)
    (root / 'images').mkdir()
    link = f'http://images.cocodataset.org/train2017/{0:012}.jpg'
    rows = [
        dict(id=k, file_name=f'{k:012}.jpg', height=480, width=640, license=1, coco_url=link, flickr_url=link)
        for k in range(images)
    ]
    polygon = [round(draw.uniform(0, 480), 2) for _ in range(44)]
    left, top = min(polygon[::2]), min(polygon[1::2])
    box = [left, top, max(polygon[::2]) - left, max(polygon[1::2]) - top]
    truth = [
        dict(
            id=k,
            image_id=draw.randrange(images),
            category_id=draw.randrange(80),
            bbox=box,
            area=1234.5,
            iscrowd=0,
            segmentation=[polygon],
        )
        for k in range(annotations)
    ]
    classes = [f'c{k}' for k in range(80)]
    categories = [dict(id=k, name=name, supercategory='x') for k, name in enumerate(classes)]
    path = root / 'annotations.json'
    path.write_text(json.dumps(dict(images=rows, annotations=truth, categories=categories)))
    del rows, truth
    for k in range(images):
        (root / 'images' / f'{k:012}.jpg').touch()
    start = time.process_time()
    with path.open() as file:
        json.load(file)
    parsed = time.process_time()
    report = examine_coco(str(path), str(root / 'images'), classes, 80, Use(masks=True), sample=64)
    assert report.counts() == {'zero_bytes': 64}
    return {
        'annotation file, MB': round(path.stat().st_size / 1e6),
        'json.load alone, s': round(parsed - start, 1),
        'whole check with a sample of 64, s': round(time.process_time() - parsed, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--coco-size', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        found = {'files, ms': files(Path(name)), 'one training step, ms': steps(Path(name))}
        if args.coco_size:
            found['COCO-size annotation file'] = coco_size(Path(name))
    print(json.dumps(found, indent=2))
    write_json(RESULT, found)


if __name__ == '__main__':
    main()
