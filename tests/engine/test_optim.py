"""bfloat16 training on any device that multiplies bfloat16."""

import pytest
import torch
from torch import nn

from mmseq.engine import optim
from mmseq.registry import OPTIM_WRAPPERS


def wrapper_of(model, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return OPTIM_WRAPPERS.build(dict(type='mmseq.Bfloat16OptimWrapper', optimizer=optimizer, **options))


@pytest.mark.parametrize('problem, force', [(None, False), ('emulated', True)])
def test_forward_is_autocast_and_weights_stay_float32(problem, force, monkeypatch):
    monkeypatch.setattr(optim, 'bfloat16_problem', lambda device: problem)
    model = nn.Linear(4, 4)
    wrapper = wrapper_of(model, force=force)
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        y = model(torch.randn(2, 4))
    assert y.dtype == torch.bfloat16
    assert model(torch.randn(2, 4)).dtype == torch.float32
    wrapper.update_params(y.float().square().mean())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)


def test_a_device_that_imitates_bfloat16_trains_in_float32_and_says_so_once(monkeypatch):
    asked, said = [], []
    monkeypatch.setattr(optim, 'bfloat16_problem', lambda device: asked.append(device) or 'this one has none')
    monkeypatch.setattr(optim, 'print_log', lambda text, logger: said.append(text))
    model = nn.Linear(4, 4)
    wrapper = wrapper_of(model, accumulative_counts=2, clip_grad=dict(max_norm=1.0))
    for _ in range(2):
        with wrapper.optim_context(model):
            assert model(torch.randn(2, 4)).dtype == torch.float32
    assert asked == ['cpu']
    assert said == ['--amp: this one has none; training in float32, which is faster (--amp force insists)']
    assert (wrapper._accumulative_counts, wrapper.clip_grad_kwargs) == (2, dict(max_norm=1.0))
