"""Norm and MLP in one against the formula in float64, forward and gradient."""

import sys

import pytest
import torch

from mmseq import ops
from mmseq.ops.dispatch import Choice
from mmseq.ops.global_norm_mlp import BACKENDS, prefer
from mmseq.ops.global_norm_mlp.reference import global_norm_mlp_reference

SIZES = [(1, 1, 1), (2, 7, 5), (1, 37, 73), (3, 16, 9)]
EPS = 1e-5


def make(size, channels=12, hidden=20, mean=2.0, dtype=torch.float32):
    x = torch.randn(*size, channels, dtype=dtype) * 3 + mean
    shapes = [(channels,), (channels,), (hidden, channels), (hidden,), (channels, hidden), (channels,)]
    return [t.requires_grad_() for t in (x, *(torch.randn(shape, dtype=dtype) for shape in shapes))]


def run(backend, x, scale, shift, *mlp, keep=None):
    return BACKENDS[backend](x, scale, shift, EPS, *mlp, keep)


@pytest.mark.parametrize('layout', ['contiguous', 'from_channels_first'])
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_equals_the_formula(size, layout, poisoned):
    inputs = make(size)
    if layout == 'from_channels_first':
        inputs[0] = inputs[0].detach().permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1).requires_grad_()
    exact = [t.detach().double().requires_grad_() for t in inputs]
    got, judge = run('native', *inputs), run('reference', *exact)
    out_grad = torch.randn(got.shape)
    torch.testing.assert_close(got.double(), judge, rtol=1e-5, atol=1e-5 * judge.abs().max().item())
    found = torch.autograd.grad(got, inputs, out_grad)
    for mine, right in zip(found, torch.autograd.grad(judge, exact, out_grad.double())):
        assert (mine.double() - right).norm() <= 1e-5 * right.norm() + 1e-6
    with torch.no_grad():
        torch.testing.assert_close(run('native', *inputs), got, rtol=1e-5, atol=1e-4)


def test_gradients_are_exact():
    assert torch.autograd.gradcheck(lambda *t: run('native', *t), make((2, 3, 2), 5, 7, dtype=torch.float64))


@pytest.mark.parametrize('mean', [1e2, 1e4])
def test_a_large_mean_costs_no_digits(mean):
    inputs = make((1, 32, 32), mean=mean)
    judge = global_norm_mlp_reference(*(t.double() for t in inputs[:3]), EPS, *(t.double() for t in inputs[3:]))
    assert (run('native', *inputs).double() - judge).norm() <= 1e-5 * judge.norm()


@pytest.mark.parametrize('tile', [1, 3, 64])
def test_tiles_and_dropped_images(tile, monkeypatch, poisoned):
    # Not by its path, where mmseq.ops has the function of that name.
    monkeypatch.setattr(sys.modules['mmseq.ops.global_norm_mlp.native'], 'TILE', tile * 20)
    inputs = make((4, 5, 7), dtype=torch.float64)
    keep = torch.tensor([1.25, 0.0, 1.0, 0.0], dtype=torch.float64)
    got, judge = (run(backend, *inputs, keep=keep) for backend in ('native', 'reference'))
    torch.testing.assert_close(got, judge)
    torch.testing.assert_close(got[1], inputs[0][1])
    out_grad = torch.randn(got.shape, dtype=torch.float64)
    found = (torch.autograd.grad(y, inputs, out_grad) for y in (got, judge))
    for mine, right in zip(*found):
        torch.testing.assert_close(mine, right)


def test_weights_that_need_no_gradient():
    x, *rest = make((1, 4, 4))
    run('native', x, *(t.detach() for t in rest)).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize('keep', [None, [1.25, 0.0]])
def test_the_parts_one_after_the_other(keep):
    inputs = make((2, 7, 5), dtype=torch.float64)
    keep = keep and torch.tensor(keep, dtype=torch.float64)
    got, judge = (run(backend, *inputs, keep=keep) for backend in ('composed', 'reference'))
    torch.testing.assert_close(got, judge)
    found = (torch.autograd.grad(y.square().sum(), inputs) for y in (got, judge))
    for mine, right in zip(*found):
        torch.testing.assert_close(mine, right)
    with torch.no_grad():
        torch.testing.assert_close(run('composed', *inputs, keep=keep), judge)


def test_where_native_serves():
    x = torch.zeros(1, 8, 4, 4)
    large = Choice('native', 'large map on the CPU')
    assert prefer(x) == large
    assert prefer(x[:, 1:]) == Choice('composed', 'small map on the CPU')
    assert prefer(x.half()) == Choice('composed', 'low precision')
    assert prefer(x.to('meta')) == Choice('composed', 'on meta')
    with torch.no_grad():
        assert prefer(x).name == 'composed'
        assert prefer(torch.zeros(1, 32, 16, 4)) == large
    with torch.autocast('cpu', torch.bfloat16):
        assert prefer(x) == Choice('composed', 'low precision')


def test_a_backend_asked_for_runs_on_maps_of_any_size():
    inputs = make((1, 2, 2))
    names = {}
    for backend in BACKENDS:
        # An operator that has no Triton kernel takes its own choice, which is this one for so small a map.
        with ops.use('triton' if backend == 'composed' else backend):
            last = ops.global_norm_mlp(*inputs[:3], EPS, *inputs[3:]).grad_fn
        names[backend] = [last.name(), last.next_functions[0][0].name()]
    assert 'GlobalNormMlpBackward' in names['native']
    assert 'GlobalNormMlpBackward' not in names['reference'] + names['composed']
