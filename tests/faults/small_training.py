"""A training of milliseconds an iteration with the hooks of every run: python small_training.py WORK_DIR OPTIONS.

Options: workers=N, iterations=N, fail=N (an exception in iteration N), bad=N (a loss that is not finite from there on).
Writes ready when training runs, and memory.json: megabytes of this process and its workers by iteration.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import BaseDataset, InfiniteSampler
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from PIL import Image
from torch import Tensor, nn

from mmseq.cli import run
from mmseq.datasets.tolerant import TolerantDataset
from mmseq.engine import hooks

HOOKS = ('RandomStreamsHook', 'UnusedParametersHook', 'BadNumbersHook', 'LoaderShareHook')


class Pictures(BaseDataset):
    """Every picture of a folder."""

    def load_data_list(self) -> list[dict]:
        return [{'img_path': str(path)} for path in sorted(Path(self.data_root).iterdir())]


def load(info: dict) -> dict:
    with Image.open(info['img_path']) as image:
        return {'inputs': torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1) / 255}


class Net(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 1, 3, 2))
        self.bad = False

    def forward(self, inputs: Tensor, mode: str = 'tensor') -> dict[str, Tensor]:
        loss = self.layers(torch.stack(list(inputs))).square().mean()
        return {'loss': loss * float('nan') if self.bad else loss}


def megabytes() -> float:
    """Proportional memory of all processes of this session, in MiB, without libraries, shared with other programs."""
    total = 0
    for folder in Path('/proc').iterdir():
        try:
            if folder.name.isdigit() and os.getsid(int(folder.name)) == os.getsid(0):
                lines = (folder / 'smaps_rollup').read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith(('Pss_Anon:', 'Pss_Shmem:')))
        except (OSError, ProcessLookupError):
            continue
    return total / 1024


class Probe(Hook):
    priority = 'VERY_LOW'

    def __init__(self, work_dir: Path, fail: int, bad: int) -> None:
        self.work_dir, self.fail, self.bad = work_dir, fail, bad
        self.memory: dict[int, float] = {}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        runner.model.bad = 0 < self.bad <= runner.iter + 1
        if runner.iter + 1 == self.fail:
            raise RuntimeError('planted')
        if runner.iter == 3:
            (self.work_dir / 'ready').touch()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if (runner.iter + 1) % 200 == 0:
            self.memory[runner.iter + 1] = megabytes()

    def after_train(self, runner: Runner) -> None:
        (self.work_dir / 'memory.json').write_text(json.dumps(self.memory))


def main() -> int:
    work_dir = Path(sys.argv[1])
    options = {'workers': 0, 'iterations': 10, 'fail': 0, 'bad': 0}
    options |= {key: int(value) for key, value in (word.split('=') for word in sys.argv[2:])}
    data = TolerantDataset(Pictures(data_root=str(work_dir / 'pictures'), pipeline=[load]), str(work_dir))
    Runner(
        model=Net(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=data,
            sampler=dict(type=InfiniteSampler, shuffle=True),
            batch_size=4,
            num_workers=options['workers'],
            persistent_workers=options['workers'] > 0,
        ),
        train_cfg=dict(by_epoch=False, max_iters=options['iterations']),
        optim_wrapper=dict(optimizer=dict(type=torch.optim.AdamW, lr=1e-3)),
        default_hooks=dict(checkpoint=None, logger=dict(type='LoggerHook', interval=100)),
        custom_hooks=[
            *(getattr(hooks, name)() for name in HOOKS),
            hooks.CorruptDataHook(max_share=0.05),
            Probe(work_dir, options['fail'], options['bad']),
        ],
        randomness=dict(seed=0),
    ).train()
    return 0


if __name__ == '__main__':
    run(main)
