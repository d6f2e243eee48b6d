"""RoIAlign (Mask R-CNN, arXiv 1703.06870, section 3) with the calling convention of `mmcv._ext`.

Letters: N images, C channels, H W map, R regions, PH PW bins. Regions are (R, 5): image index, x1, y1, x2, y2 in image
pixels. Average pooling is torchvision's operator, which has mmcv's formula; maximum pooling, which torchvision lacks,
is written out here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

from mmseq.compat.mmcv_ops.precision import widen

MAX, AVG = range(2)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill `output` (R, C, PH, PW) from `input` (N, C, H, W).

    Args:
        argmax_y: for maximum pooling a buffer like `output`, else empty. It receives the row of the chosen sample
            within its bin (-1: none), where mmcv keeps the coordinate: a number so small is exact in half and bfloat16.
        argmax_x: likewise, the column.
        spatial_scale: map pixels for each image pixel.
        sampling_ratio: samples along each side of a bin; 0: as many as the bin has map pixels, rounded up.
        pool_mode: 0 maximum, 1 average.
        aligned: whether regions are shifted by the half pixel that makes coordinates true to pixel centres.

    A region without area has no samples where `sampling_ratio` is 0 and `aligned` holds: its output is 0 in both modes
    (mmcv: 0 for average; for maximum -10000 on CPU and the lowest float on CUDA).
    """
    _check(pool_mode)
    if output.numel() == 0:
        return
    maps, regions = widen(input, rois)
    if pool_mode == AVG:
        pooled = torch.ops.torchvision.roi_align(
            maps, regions, spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
        )
        output.copy_(pooled)
        return
    grid = _Grid.of(regions, (aligned_height, aligned_width), spatial_scale, sampling_ratio, aligned)
    best, best_y, best_x = _max_over_samples(maps, regions[:, 0].long(), grid)
    output.copy_(best)
    argmax_y.copy_(best_y)
    argmax_x.copy_(best_x)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add to `grad_input` (N, C, H, W); `argmax_y` and `argmax_x` are those of `roi_align_forward`."""
    _check(pool_mode)
    grad, regions = widen(grad_output, rois)
    shape = tuple(grad_input.shape)
    if pool_mode == AVG:
        summed = torch.ops.torchvision._roi_align_backward(
            grad, regions, spatial_scale, aligned_height, aligned_width, *shape, sampling_ratio, aligned
        )
    else:
        grid = _Grid.of(regions, (aligned_height, aligned_width), spatial_scale, sampling_ratio, aligned)
        summed = _scatter_to_samples(grad, regions[:, 0].long(), grid, argmax_y, argmax_x, shape)
    grad_input.add_(summed)


def _check(pool_mode: int) -> None:
    if pool_mode not in (MAX, AVG):
        raise ValueError(f'roi_align: pool_mode must be 0 (max) or 1 (avg), got {pool_mode}')


class _Grid(NamedTuple):
    """Where the samples of each region lie, separately for y and x."""

    bins_y: Tensor  # (R, PH): where each bin begins, in map pixels
    bins_x: Tensor  # (R, PW)
    step_y: Tensor  # (R,): from one sample to the next
    step_x: Tensor
    count_y: Tensor  # (R,) int64: samples in one bin along y
    count_x: Tensor

    @classmethod
    def of(
        cls, regions: Tensor, bins: tuple[int, int], spatial_scale: float, sampling_ratio: int, aligned: bool
    ) -> _Grid:
        corners = regions[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
        size = corners[:, 2:] - corners[:, :2]
        if not aligned:
            size = size.clamp(min=1)
        bin_size = size / size.new_tensor((bins[1], bins[0]))
        count = torch.full_like(bin_size, sampling_ratio) if sampling_ratio > 0 else bin_size.ceil().clamp(min=0)
        step = bin_size / count.clamp(min=1)
        begin = [
            corners[:, axis, None] + torch.arange(number, device=size.device) * bin_size[:, axis, None]
            for axis, number in enumerate((bins[1], bins[0]))
        ]
        count = count.long()
        return cls(begin[1], begin[0], step[:, 1], step[:, 0], count[:, 1], count[:, 0])


def _max_over_samples(maps: Tensor, image: Tensor, grid: _Grid) -> tuple[Tensor, Tensor, Tensor]:
    """The largest sample of each bin and its row and column in the bin: three times (R, C, PH, PW)."""
    channels, height, width = maps.shape[1:]
    pixels = maps.permute(0, 2, 3, 1).reshape(-1, channels)
    shape = (len(image), grid.bins_y.shape[1], grid.bins_x.shape[1], channels)
    best = pixels.new_full(shape, float('-inf'))
    best_y, best_x = (torch.full(shape, -1, device=maps.device) for _ in range(2))
    # One step for each place in a bin, all regions at once: memory stays that of the output.
    for row in range(int(grid.count_y.max())):
        y = grid.bins_y + (row + 0.5) * grid.step_y[:, None]
        for column in range(int(grid.count_x.max())):
            x = grid.bins_x + (column + 0.5) * grid.step_x[:, None]
            sample: Tensor | int = 0
            for index, weight in _corners(y[:, :, None], x[:, None, :], height, width):
                sample = sample + pixels[image[:, None, None] * height * width + index] * weight[..., None]
            exists = (row < grid.count_y) & (column < grid.count_x)
            better = (sample > best) & exists[:, None, None, None]
            best = torch.where(better, sample, best)
            best_y = torch.where(better, row, best_y)
            best_x = torch.where(better, column, best_x)
    best = torch.where(best_y < 0, 0, best)
    return best.permute(0, 3, 1, 2), best_y.permute(0, 3, 1, 2), best_x.permute(0, 3, 1, 2)


def _scatter_to_samples(
    grad: Tensor, image: Tensor, grid: _Grid, argmax_y: Tensor, argmax_x: Tensor, shape: tuple[int, ...]
) -> Tensor:
    """Distribute gradients (R, C, PH, PW) over the four pixels around each chosen sample; returns (N, C, H, W)."""
    _, channels, height, width = shape
    y = grid.bins_y[:, None, :, None] + (argmax_y.to(grad) + 0.5) * grid.step_y[:, None, None, None]
    x = grid.bins_x[:, None, None, :] + (argmax_x.to(grad) + 0.5) * grid.step_x[:, None, None, None]
    plane = image[:, None] * channels + torch.arange(channels, device=grad.device)
    grad = torch.where(argmax_y < 0, 0, grad)
    summed = grad.new_zeros(shape)
    for index, weight in _corners(y, x, height, width):
        target = plane[:, :, None, None] * height * width + index
        summed.view(-1).index_add_(0, target.flatten(), (grad * weight).flatten())
    return summed


def _corners(y: Tensor, x: Tensor, height: int, width: int) -> list[tuple[Tensor, Tensor]]:
    """The four pixels around points (y, x) as (index in the flattened map, bilinear weight), broadcast over both.

    Within one pixel beyond the border the border's value holds; farther out all weights are 0.
    """
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    top, left = y.floor(), x.floor()
    below, right = y - top, x - left
    top, left = top.long(), left.long()
    bottom, rightmost = (top + 1).clamp(max=height - 1), (left + 1).clamp(max=width - 1)
    return [
        (row * width + column, by_row * by_column * inside)
        for row, by_row in ((top, 1 - below), (bottom, below))
        for column, by_column in ((left, 1 - right), (rightmost, right))
    ]
