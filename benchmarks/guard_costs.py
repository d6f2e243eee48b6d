"""What the guards of a training cost, in milliseconds of CPU on one thread: python benchmarks/guard_costs.py.

Writes benchmarks/results/guard_costs.json. What the check of a large annotation file costs: benchmarks/annotations.py.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

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


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        found = {'files, ms': files(Path(name)), 'one training step, ms': steps(Path(name))}
    print(json.dumps(found, indent=2))
    write_json(RESULT, found)


if __name__ == '__main__':
    main()
