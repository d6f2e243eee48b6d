"""Parameters without a gradient are named once."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper

from mmseq.engine.hooks import UnusedParametersHook
from tests.nursery import Nursery


class Partial(BaseModel):
    """Uses `used` always, `sometimes` only where asked, `norm` never; `frozen` needs no gradient."""

    def __init__(self, sometimes: bool = False) -> None:
        super().__init__()
        self.used = torch.nn.Linear(2, 2)
        self.sometimes = torch.nn.Linear(2, 2)
        self.blocks = torch.nn.ModuleList([torch.nn.LayerNorm(2)])
        self.frozen = torch.nn.Linear(2, 2).requires_grad_(False)
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.condition = sometimes

    def forward(self, inputs: torch.Tensor, mode: str = 'loss') -> dict[str, torch.Tensor]:
        outputs = self.used(inputs)
        return {'loss': (self.sometimes(outputs) if self.condition else outputs).sum()}


def _train(model: torch.nn.Module, iterations: int, accumulate: int = 1) -> list[str]:
    warnings: list[str] = []
    hook = UnusedParametersHook()
    runner = SimpleNamespace(model=model, logger=SimpleNamespace(warning=warnings.append))
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optim_wrapper = OptimWrapper(torch.optim.SGD(trainable, lr=0.1), accumulative_counts=accumulate)
    optim_wrapper.initialize_count_status(model, 0, iterations)
    for i in range(iterations):
        hook.before_train_iter(runner, i)
        model.train_step({'inputs': torch.ones(1, 2)}, optim_wrapper)
        hook.after_train_iter(runner, i)
    return warnings


@pytest.mark.parametrize('accumulate', [1, 4])
def test_names_are_grouped_by_module_and_told_once(accumulate: int) -> None:
    (warning,) = _train(Partial(), iterations=3, accumulate=accumulate)
    head, *lines = warning.splitlines()
    assert head.startswith('5 of 7 parameters')
    assert sorted(line.strip() for line in lines) == [
        '(model): scale',
        'blocks.0: weight, bias',
        'sometimes: weight, bias',
    ]


def test_silent_where_everything_is_trained() -> None:
    model = Partial(sometimes=True)
    del model.blocks, model.scale
    assert _train(model, iterations=2) == []


def test_nothing_is_left_on_the_parameters() -> None:
    model = Partial()
    _train(model, iterations=1)
    assert not any(parameter._post_accumulate_grad_hooks for parameter in model.parameters())


def test_a_parameter_used_on_another_rank_is_used(nursery: Nursery, tmp_path: Path) -> None:
    code = """
import torch
from mmengine.dist import get_rank
from mmengine.model import MMDistributedDataParallel
from mmseq.engine.processes import leave_group
from tests.engine.hooks.test_unused_parameters import Partial, _train
torch.distributed.init_process_group('gloo')
model = MMDistributedDataParallel(Partial(sometimes=get_rank() == 1), find_unused_parameters=True)
(warning,) = _train(model, iterations=2)
open('rank%d.txt' % get_rank(), 'w').write(warning)
leave_group()
"""
    script = tmp_path / 'worker.py'
    script.write_text(code)
    nursery.run(script=script, processes=2, cwd=tmp_path, log=tmp_path / 'log')
    for rank in range(2):
        warning = (tmp_path / f'rank{rank}.txt').read_text()
        assert warning.startswith('3 of 7')
        assert 'blocks.0: weight, bias' in warning
        assert 'sometimes' not in warning
        assert 'module.' not in warning
