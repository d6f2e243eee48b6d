"""Sums of millions of numbers keep float32's digits."""

import pytest
import torch

from mmseq import ops
from mmseq.ops.global_norm.reference import global_norm_reference
from mmseq.ops.global_norm_mlp.reference import global_norm_mlp_reference
from mmseq.ops.sums import sum_of_squares


@pytest.mark.parametrize('count', [1, 1023, 1024, 5000, 2_000_003])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_equals_float64(count, dtype):
    x = (torch.randn(count, dtype=dtype) + 3).square()
    torch.testing.assert_close(sum_of_squares(x), x.double().square().sum(), rtol=1e-7, atol=0)


def shallow(side, channels):
    """A map of 1024 px whose numbers are alike, and whose sums round the same way every time."""
    x = torch.full((1, side, side, channels), 0.7) * torch.tensor([1.0, -1.0]).repeat(channels // 2)
    return x + 1e-3 * torch.randn_like(x)


def test_norms_of_large_maps_keep_their_digits():
    x, vector = shallow(256, 32), torch.ones(32)
    weights = (torch.randn(8, 32), torch.randn(8), torch.randn(32, 8), torch.randn(32))
    with torch.no_grad():
        exact = global_norm_reference(x.double(), vector.double(), vector.double(), 1e-5)
        mixed = global_norm_mlp_reference(
            x.double(), vector.double(), vector.double(), 1e-5, *(w.double() for w in weights)
        )
        with ops.use('native'):
            norm = ops.global_norm(x, vector, vector, 1e-5)
            mixer = ops.global_norm_mlp(x, vector, vector, 1e-5, *weights)
    assert (norm.double() - exact).norm() <= 3e-7 * exact.norm()
    assert (mixer.double() - mixed).norm() <= 1e-6 * mixed.norm()
