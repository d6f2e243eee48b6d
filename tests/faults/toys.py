"""A data set, a model and a metric that train in a moment, and a hook that notes every loss."""

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import Dataset


@DATASETS.register_module()
class Vectors(Dataset):
    """Vectors shifted by numbers from three generators; portrait and landscape in turn for those that group them."""

    metainfo = {'classes': ('a',)}

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        noise = np.random.rand(4) + random.random()
        vector = torch.full((4,), index / self.length) + torch.from_numpy(noise).float() + torch.rand(4)
        return {'inputs': vector, 'index': index}

    def get_data_info(self, index: int) -> dict[str, Any]:
        return {'width': 2 + index % 3, 'height': 3}


@MODELS.register_module()
class Toy(BaseModel):
    """Two layers with dropout; `seconds` is how long an iteration takes at least."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Dropout(0.3), torch.nn.Linear(16, 1))
        self.seconds = seconds

    def forward(self, inputs: list, index: list, mode: str = 'loss') -> Any:
        outputs = self.layers(torch.stack(list(inputs)))
        if mode != 'loss':
            return list(outputs)
        time.sleep(self.seconds)
        return {'loss': (outputs - 1).square().mean()}


@METRICS.register_module()
class Score(BaseMetric):
    """Goes up and down with the weights."""

    def process(self, data_batch: Any, data_samples: Sequence[Tensor]) -> None:
        self.results += [sample.sum().item() for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        return {'score': float(np.sin(1000 * sum(results)))}


@HOOKS.register_module()
class LossRecorder(Hook):
    """Append "iteration loss" to losses.RANK in the work dir, exactly, in one write that a kill cannot split.

    The process id goes to pid.RANK.
    """

    def before_train(self, runner: Runner) -> None:
        """Say who is to be killed."""
        (Path(runner.work_dir) / f'pid.{_rank()}').write_text(str(os.getpid()))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        loss = outputs['loss'].item()
        path = Path(runner.work_dir) / f'losses.{_rank()}'
        with path.open('ab', buffering=0) as file:
            file.write(f'{runner.iter} {loss.hex()}\n'.encode())


def _rank() -> str:
    return os.environ.get('RANK', '0')


def recorded(work_dir: Path, rank: int = 0) -> list[tuple[int, float]]:
    """What LossRecorder wrote: iterations and losses, in the order of their happening."""
    path = work_dir / f'losses.{rank}'
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(iteration), float.fromhex(loss)) for iteration, loss in (line.split() for line in lines)]
