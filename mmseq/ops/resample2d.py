"""Resampling of feature maps, without parameters; image coordinates stay right."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from mmseq.ops.symbolic import along, exporting, first


@lru_cache(maxsize=512)
def axis_weights(
    size_in: int, stride_in: int, size_out: int, stride_out: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """The linear map along one axis: (size_out, size_in), every row sums to 1.

    Cell i of a map of stride s is centred at the image coordinate (i + 0.5) s. A finer map takes the piecewise-linear
    interpolant of the coarse one at its own cells' centres; a coarser map takes the interpolant's mean over its cell,
    so that no input cell is passed over. The first and last segment are continued as far as the map itself reaches:
    holding the border value there, as ``F.interpolate`` does, would put the outermost cells of a stride-4 map made
    from stride 14 five pixels off. Both are exact wherever the features are linear in the coordinates.
    """
    # Kept between calls, and may be made during inference: an inference tensor could not serve a training step later.
    with torch.inference_mode(False), torch.no_grad():
        return exact_weights(size_in, stride_in, size_out, stride_out).to(device, dtype)


def exact_weights(size_in: int, stride_in: int, size_out: int, stride_out: int) -> Tensor:
    """See ``axis_weights``; in float64, for sizes that may be symbols."""
    # Positions are counted in input cells, with the centre of input cell i at i.
    ratio = stride_out / stride_in
    samples = 1 if ratio <= 1 else 4 * math.ceil(ratio)
    centres = (torch.arange(size_out, dtype=torch.float64) + 0.5) * ratio - 0.5
    offsets = ((torch.arange(samples, dtype=torch.float64) + 0.5) / samples - 0.5) * ratio
    position = centres.clamp(-0.5, size_in - 0.5)[:, None] + offsets
    # A lone cell is the left and the right end of its segment.
    left = position.floor().clamp(0, torch.sym_max(size_in - 2, 0))
    right = (left + 1).clamp(max=size_in - 1)
    right_share = (position - left) / samples
    weights = torch.zeros(size_out, size_in, dtype=torch.float64)
    weights.scatter_add_(1, left.long(), 1 / samples - right_share)
    return weights.scatter_add_(1, right.long(), right_share)


def resample2d(x: Tensor, stride_in: int, stride_out: int, size: tuple[int, int]) -> Tensor:
    """Resample a feature map to another stride; every cell stays at its place in the image.

    Args:
        x: (B, H, W, C) of stride ``stride_in``; it covers H * stride_in by W * stride_in pixels from the upper left.
        stride_in: pixels per cell of ``x``.
        stride_out: pixels per cell of the result.
        size: height and width of the result; cells that lie beyond ``x`` hold the border's value.

    Returns:
        (B, *size, C): cell (r, c) is the feature at image point ((r + 0.5) stride_out, (c + 0.5) stride_out).
    """
    batch, height, width, channels = x.shape
    if exporting():
        return resample2d_recorded(x, stride_in, stride_out, size)
    if stride_in == stride_out and size[0] <= height and size[1] <= width:
        return x[:, : size[0], : size[1]]
    rows = axis_weights(height, stride_in, size[0], stride_out, x.dtype, x.device)
    columns = axis_weights(width, stride_in, size[1], stride_out, x.dtype, x.device)
    # Both are products with x as it lies: no permuted copy.
    x = (rows @ x.reshape(batch, height, width * channels)).view(batch, size[0], width, channels)
    return columns @ x


def resample2d_recorded(x: Tensor, stride_in: int, stride_out: int, size: tuple[int, int]) -> Tensor:
    """See :func:`mmseq.ops.resample2d`; for torch.export; maps cover the result where the strides are the same."""
    if stride_in == stride_out:
        return first(first(x, 1, size[0]), 2, size[1])
    rows, columns = (exact_weights(n, stride_in, m, stride_out).to(x) for n, m in zip(x.shape[1:3], size))
    return along(along(x, 1, rows), 2, columns)
