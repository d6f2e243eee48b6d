"""GlobalNorm against torch's group norm of channels-first maps in float64."""

import pytest
import torch
from torch.nn import functional as F

from mmseq.layers import GlobalNorm


def make(channels, dtype=torch.float32):
    norm = GlobalNorm(channels).to(dtype)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    return norm


def exact(norm, x):
    x = x.double().permute(0, 3, 1, 2).contiguous()
    return F.group_norm(x, 1, norm.weight.double(), norm.bias.double(), norm.eps).permute(0, 2, 3, 1)


@pytest.mark.parametrize('layout', ['contiguous', 'from_channels_first'])
@pytest.mark.parametrize('size', [(2, 1, 1, 8), (1, 7, 5, 12), (3, 16, 9, 24)])
def test_equals_group_norm(size, layout):
    norm = make(size[-1])
    x = torch.randn(size) * 3 + 2
    if layout == 'from_channels_first':
        x = x.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    x.requires_grad_()
    inputs = [x, norm.weight, norm.bias]
    out_grad = torch.randn(size)
    got, expected = norm(x), exact(norm, x)
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)
    gradients = torch.autograd.grad(got, inputs, out_grad)
    for mine, judge in zip(gradients, torch.autograd.grad(expected, inputs, out_grad.double())):
        torch.testing.assert_close(mine, judge, rtol=1e-4, atol=1e-4)


def test_gradient_is_exact():
    norm = make(5, torch.float64)
    x = (torch.randn(2, 3, 2, 5, dtype=torch.float64) + 4).requires_grad_()
    assert torch.autograd.gradcheck(norm, x)


@pytest.mark.parametrize('mean', [1e2, 1e4])
def test_a_large_mean_costs_no_digits(mean):
    norm = make(24)
    x = torch.randn(2, 32, 32, 24) + mean
    expected = exact(norm, x)
    assert (norm(x).double() - expected).norm() <= 1e-5 * expected.norm()


def test_images_do_not_mix():
    norm = make(8)
    x = torch.randn(3, 4, 4, 8)
    torch.testing.assert_close(norm(x)[1:2], norm(x[1:2]))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_statistics_are_float32_in_low_precision(dtype):
    """Values near 1000 times their count exceed float16; their variance needs more digits than bfloat16 has."""
    norm = make(16)
    x = (torch.randn(1, 32, 32, 16) * 100 + 1000).to(dtype)
    expected = exact(norm, x)
    with torch.autocast('cpu', dtype):
        y = norm(x)
    assert y.dtype == torch.float32
    assert (y.double() - expected).norm() <= 1e-5 * expected.norm()
    low = norm.to(dtype)(x)
    assert low.dtype == dtype
    assert (low.double() - exact(norm, x)).norm() <= torch.finfo(dtype).eps * expected.norm()
