"""RoIPool (Fast R-CNN, arXiv 1504.08083, section 2.1) with the calling convention of `mmcv._ext`.

Plain torch: torchvision's `roi_pool` is another function, it rounds the corners of a region to map pixels, mmcv does
not. Letters: N images, C channels, H W map, R regions, PH PW bins.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmseq.compat.mmcv_ops.precision import widen


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Fill `output` (R, C, PH, PW) with the largest pixel of `input` (N, C, H, W) in each bin.

    Args:
        rois: (R, 5): image index, x1, y1, x2, y2 in image pixels, the last pixel included.
        argmax: (R, C, PH, PW) int32; receives the flat index y * W + x of that pixel, -1 for a bin outside the map,
            whose output is 0.
        spatial_scale: map pixels for each image pixel.
    """
    if output.numel() == 0:
        return
    maps, regions = widen(input, rois)
    channels, height, width = maps.shape[1:]
    pixels = maps.permute(0, 2, 3, 1).reshape(-1, channels)
    base = (regions[:, 0].long() * height * width)[:, None, None]
    # (R, PH, 1) and (R, 1, PW)
    top, bottom = (edge[:, :, None] for edge in _edges(regions, 2, pooled_height, height, spatial_scale))
    left, right = (edge[:, None, :] for edge in _edges(regions, 1, pooled_width, width, spatial_scale))
    extent = (regions[:, 3:] + 1 - regions[:, 1:3]) * spatial_scale
    # mmcv leaves regions without extent alone: output 0. Their index must not reach a pixel in backward.
    valid = (extent > 0).all(dim=1)[:, None, None]
    best = pixels.new_full((*output.shape[:1], pooled_height, pooled_width, channels), float('-inf'))
    chosen = torch.full_like(best, -1, dtype=torch.long)
    # One step for each place in a bin, all regions at once: memory stays that of the output.
    for row in range(int((bottom - top).max())):
        y = top + row
        for column in range(int((right - left).max())):
            x = left + column
            index = y.clamp(max=height - 1) * width + x.clamp(max=width - 1)
            value = pixels[base + index]
            better = (value > best) & ((y < bottom) & (x < right) & valid)[..., None]
            best = torch.where(better, value, best)
            chosen = torch.where(better, index[..., None], chosen)
    output.copy_(torch.where(chosen < 0, 0, best).permute(0, 3, 1, 2))
    argmax.copy_(chosen.permute(0, 3, 1, 2))


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Add the gradient of each bin (R, C, PH, PW) to the pixel of `grad_input` (N, C, H, W) that `argmax` names."""
    (grad,) = widen(grad_output)
    _, channels, height, width = grad_input.shape
    plane = rois[:, :1].long() * channels + torch.arange(channels, device=grad.device)
    target = plane[:, :, None, None] * height * width + argmax.clamp(min=0)
    summed = grad.new_zeros(grad_input.shape)
    summed.view(-1).index_add_(0, target.flatten(), torch.where(argmax < 0, 0, grad).flatten())
    grad_input.add_(summed)


def _edges(regions: Tensor, first: int, bins: int, limit: int, spatial_scale: float) -> tuple[Tensor, Tensor]:
    """First and past-the-last map pixel (R, bins) of each bin along one axis; `first` is the column of its corner."""
    begin = regions[:, first, None] * spatial_scale
    end = (regions[:, first + 2, None] + 1) * spatial_scale
    size = (end - begin) / bins
    number = torch.arange(bins, device=regions.device)
    low = (number * size + begin).floor().clamp(0, limit).long()
    high = ((number + 1) * size + begin).ceil().clamp(0, limit).long()
    return low, high
