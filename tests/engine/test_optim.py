"""bfloat16 training on any device that multiplies bfloat16."""

from copy import deepcopy

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


def adamw(fused):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 4))
    return model, torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.05, fused=fused)


def take_steps(model, optimizer, begin, end):
    for number in range(begin, end):
        x = torch.randn(4, 8, generator=torch.Generator().manual_seed(number))
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_fused_updates_are_those_of_the_loop():
    loop, fused = (take_steps(*adamw(fused), 0, 20) for fused in (False, True))
    assert (loop - fused).abs().max() <= 1e-6 * loop.abs().max()


@pytest.mark.parametrize('before', [False, True])
def test_a_resume_goes_on_as_the_run_began_bit_by_bit(before):
    """What an earlier version saved was not fused, and its resume is not either."""
    model, optimizer = adamw(before)
    take_steps(model, optimizer, 0, 3)
    saved = deepcopy((model.state_dict(), optimizer.state_dict()))
    whole = take_steps(model, optimizer, 3, 6)
    again, optimizer = adamw(True)
    again.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    assert torch.equal(take_steps(again, optimizer, 3, 6), whole)
