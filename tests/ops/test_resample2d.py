"""Resampled maps are true to image coordinates."""

import pytest
import torch

from mmseq.ops import resample2d
from mmseq.ops.resample2d import axis_weights


def coordinate_map(height, width, stride):
    """Features that are the coordinates of each cell's centre, in px: (1, H, W, 2)."""
    rows = (torch.arange(height, dtype=torch.float64) + 0.5) * stride
    columns = (torch.arange(width, dtype=torch.float64) + 0.5) * stride
    return torch.stack(torch.meshgrid(rows, columns, indexing='ij'), dim=-1)[None]


@pytest.mark.parametrize('stride_in', [7, 14, 16])
@pytest.mark.parametrize('stride_out', [4, 8, 14, 16, 32])
@pytest.mark.parametrize('image', [(224, 280), (512, 500), (37, 801), (33, 47)])
def test_coordinates_are_kept(stride_in, stride_out, image):
    grid = [-(-side // stride_in) for side in image]
    size = tuple(-(-side // stride_out) for side in image)
    out = resample2d(coordinate_map(*grid, stride_in), stride_in, stride_out, size)
    expected = coordinate_map(*size, stride_out)
    assert out.shape == expected.shape
    inside = (expected[..., 0] < image[0]) & (expected[..., 1] < image[1])
    # A map of one cell knows no slope.
    axes = [axis for axis in (0, 1) if grid[axis] > 1]
    assert (out - expected)[inside][:, axes].abs().max() <= 0.05
    assert inside.any()


@pytest.mark.parametrize('stride_out', [4, 8, 16, 32, 64])
def test_no_input_cell_is_passed_over(stride_out):
    weights = axis_weights(37, 14, -(-518 // stride_out), stride_out, torch.float64, torch.device('cpu'))
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights), dtype=torch.float64))
    assert (weights.abs().sum(0) > 0).all()


def test_same_stride_crops():
    x = torch.randn(2, 6, 5, 3)
    assert torch.equal(resample2d(x, 7, 7, (5, 4)), x[:, :5, :4])


def test_weights_made_in_inference_serve_training():
    with torch.inference_mode():
        resample2d(torch.randn(1, 5, 5, 2), 14, 9, (7, 7))
    x = torch.randn(1, 5, 5, 2, requires_grad=True)
    resample2d(x, 14, 9, (7, 7)).sum().backward()
    assert x.grad.isfinite().all()
