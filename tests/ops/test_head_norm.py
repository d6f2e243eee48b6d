"""Every backend of norm and skip against the formula in float64, forward and gradient."""

import pytest
import torch

from mmseq import ops
from mmseq.ops.head_norm import BACKENDS
from mmseq.ops.head_norm.reference import head_norm_reference

EPS = 1e-5
FAST = [name for name in BACKENDS if name != 'reference']


def make(batch, heads, steps, d, biased=True, dtype=torch.float32):
    dim = heads * d
    shapes = [(batch, heads, steps, d), (dim,), (dim,), (dim,), (batch, steps, dim)]
    h, weight, bias, skip, c = (torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes)
    return h, weight, bias if biased else None, skip, c


def run(function, h, weight, bias, skip, c, grad):
    y = function(h, weight, bias, EPS, skip, c)
    return y, torch.autograd.grad(y, [t for t in (h, weight, bias, skip, c) if t is not None], grad)


@pytest.mark.usefixtures('poisoned')
@pytest.mark.parametrize('backend', FAST)
@pytest.mark.parametrize('biased', [True, False])
@pytest.mark.parametrize('size', [(1, 1, 1, 3), (2, 4, 7, 6), (3, 4, 73, 5)], ids=str)
def test_equals_the_formula(backend, biased, size):
    inputs = make(*size, biased)
    exact = [t if t is None else t.detach().double().requires_grad_() for t in inputs]
    grad = torch.randn_like(inputs[-1])
    with ops.use(backend):
        got, found = run(ops.head_norm, *inputs, grad)
    judge, right = run(head_norm_reference, *exact, grad.double())
    torch.testing.assert_close(got.double(), judge, rtol=1e-4, atol=1e-5)
    for mine, expected in zip(found, right):
        torch.testing.assert_close(mine.double(), expected, rtol=1e-4, atol=1e-4)


def test_gradients_are_exact():
    h, weight, bias, skip, c = make(2, 2, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda h, w, b, s, c: BACKENDS['native'](h, w, b, EPS, s, c), (h, weight, bias, skip, c)
    )


def test_inputs_of_several_dtypes_go_to_torch():
    h, weight, bias, skip, c = make(1, 4, 5, 6)
    found = ops.head_norm(h, weight, bias, EPS, skip, c.bfloat16())
    assert 'NormAndSkip' not in found.grad_fn.name()
    assert 'NormAndSkip' in ops.head_norm(h, weight, bias, EPS, skip, c).grad_fn.name()
