"""A training of seconds on mmengine alone: without mmseq when run as a script, to make files as mmengine makes them."""

import sys
from pathlib import Path
from typing import Any

import numpy
import torch
from mmengine.dataset import DefaultSampler
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Dataset


class Numbers(Dataset):
    metainfo = {'classes': ('a', 'b'), 'palette': numpy.array([[1, 2, 3], [4, 5, 6]])}

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {'inputs': torch.full((4,), index / 8)}


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 1)
        self.norm = nn.BatchNorm1d(1)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> dict[str, Tensor]:
        return {'loss': (self.norm(self.linear(torch.stack(list(inputs)))) - 1).square().mean()}


def runner(work_dir: Path, by_epoch: bool, length: int, **options: Any) -> Runner:
    """Return a runner of four iterations an epoch, which does the same in every process."""
    loop = {'max_epochs': length} if by_epoch else {'max_iters': 4 * length}
    # The runner seeds after the model was built.
    torch.manual_seed(0)
    return Runner(
        model=Line(),
        work_dir=str(work_dir),
        train_dataloader={
            'dataset': Numbers(),
            'sampler': {'type': DefaultSampler, 'shuffle': False},
            'batch_size': 2,
            'num_workers': 0,
        },
        train_cfg={'by_epoch': by_epoch, **loop},
        optim_wrapper={'optimizer': {'type': torch.optim.AdamW, 'lr': 0.1}, 'clip_grad': {'max_norm': 1}},
        param_scheduler=[{'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'end': 10}],
        default_hooks={
            'checkpoint': {'type': CheckpointHook, 'by_epoch': by_epoch, 'interval': 1 if by_epoch else 4},
            'logger': {'type': LoggerHook, 'interval': 1},
        },
        randomness={'seed': 0},
        experiment_name=f'{work_dir.name}-{by_epoch}-{length}-{options.get("resume", False)}',
        log_level='WARNING',
        **options,
    )


if __name__ == '__main__':
    for kind in ('epoch', 'iter'):
        runner(Path(sys.argv[1]) / kind, kind == 'epoch', 2).train()
    assert 'mmseq' not in sys.modules
