"""Every backend of the norm over an image against the formula in float64, forward and gradient."""

import pytest
import torch

from mmseq import ops
from mmseq.ops.global_norm import BACKENDS
from mmseq.ops.global_norm.reference import global_norm_reference

EPS = 1e-5
FAST = [name for name in BACKENDS if name != 'reference']


def make(size, dtype=torch.float32, mean=2.0):
    x = torch.randn(size, dtype=dtype) * 3 + mean
    return [t.requires_grad_() for t in (x, *torch.randn(2, size[-1], dtype=dtype))]


@pytest.mark.usefixtures('poisoned')
@pytest.mark.parametrize('backend', FAST)
@pytest.mark.parametrize('size', [(2, 1, 1, 8), (1, 7, 5, 12), (3, 37, 11, 24)], ids=str)
@pytest.mark.parametrize('layout', ['contiguous', 'from_channels_first'])
def test_equals_the_formula(backend, size, layout):
    inputs = make(size)
    if layout == 'from_channels_first':
        inputs[0] = inputs[0].detach().permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1).requires_grad_()
    exact = [t.detach().double().requires_grad_() for t in inputs]
    with ops.use(backend):
        got = ops.global_norm(*inputs, EPS)
    judge = global_norm_reference(*exact, EPS)
    torch.testing.assert_close(got.double(), judge, rtol=1e-5, atol=1e-5)
    out_grad = torch.randn(size)
    for mine, right in zip(torch.autograd.grad(got, inputs, out_grad), torch.autograd.grad(judge, exact, out_grad)):
        torch.testing.assert_close(mine.double(), right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('backend', FAST)
@pytest.mark.parametrize('mean', [1e2, 1e4])
def test_a_large_mean_costs_no_digits(backend, mean):
    x, weight, bias = make((1, 32, 32, 24), mean=mean)
    judge = global_norm_reference(x.double(), weight.double(), bias.double(), EPS)
    with ops.use(backend):
        found = ops.global_norm(x, weight, bias, EPS)
    assert (found.double() - judge).norm() <= 1e-5 * judge.norm()


def test_gradients_are_exact():
    assert torch.autograd.gradcheck(lambda *t: BACKENDS['native'](*t, EPS), make((2, 3, 2, 5), torch.float64))
