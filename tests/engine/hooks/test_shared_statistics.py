"""Statistics are the first process's when an evaluation begins."""

import multiprocessing
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from mmseq.engine.hooks import SharedStatisticsHook
from mmseq.engine.processes import leave_group


def evaluate(rank: int, folder: Path) -> None:
    torch.distributed.init_process_group('gloo', f'file://{folder}/store', rank=rank, world_size=2)
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1, bias=False))
    for tensor in (*model.buffers(), *model.parameters()):
        tensor.data.fill_(rank + 1)
    SharedStatisticsHook().before_val(SimpleNamespace(model=model))
    torch.save([[b.tolist() for b in model.buffers()], model[1].weight.mean().item()], folder / f'{rank}.pth')
    leave_group()


def test_everybody_has_the_first_ones(tmp_path: Path) -> None:
    context = multiprocessing.get_context('spawn')
    processes = [context.Process(target=evaluate, args=(rank, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    (first, weight), (second, other) = (torch.load(tmp_path / f'{rank}.pth') for rank in range(2))
    assert first == second == [[1.0] * 3, [1.0] * 3, 1]
    # Parameters are trained to be equal and none of its business.
    assert (weight, other) == (1, 2)


def test_nothing_happens_alone() -> None:
    model = nn.BatchNorm2d(3)
    SharedStatisticsHook().before_val(SimpleNamespace(model=model))
    assert model.running_var.tolist() == [1.0] * 3
