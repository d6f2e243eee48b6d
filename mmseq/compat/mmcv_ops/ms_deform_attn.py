"""Multi-scale deformable attention (arXiv 2010.04159, equation 3) with the calling convention of `mmcv._ext`.

Letters: B batch, S keys of all levels, M heads, D channels of a head, Q queries, L levels, P points.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from mmseq.compat.mmcv_ops.precision import widen


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Weighted sum of bilinear samples of the value maps.

    Args:
        value: (B, S, M, D).
        value_spatial_shapes: (L, 2) int64, height and width of each level.
        value_level_start_index: (L,) int64, the first key of each level.
        sampling_locations: (B, Q, M, L, P, 2), x and y as fractions of the level's width and height; outside is 0.
        attention_weights: (B, Q, M, L, P).
        im2col_step: belongs to mmcv's way of computing; no effect.

    Returns:
        (B, Q, M * D) in the precision of `value`.
    """
    value_, locations, weights = widen(value, sampling_locations, attention_weights)
    return _attend(value_, value_spatial_shapes, value_level_start_index, locations, weights).to(value.dtype)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Add to the last three tensors, shaped like `value`, `sampling_locations` and `attention_weights`."""
    if grad_output.numel() == 0:
        return
    leaves = [leaf.requires_grad_() for leaf in _fresh(*widen(value, sampling_locations, attention_weights))]
    with torch.enable_grad():
        output = _attend(leaves[0], value_spatial_shapes, value_level_start_index, *leaves[1:])
    grads = torch.autograd.grad(output, leaves, grad_output.to(output.dtype))
    for buffer, grad in zip((grad_value, grad_sampling_loc, grad_attn_weight), grads):
        buffer.add_(grad)


def _fresh(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The same data under new tensor objects: `requires_grad_` must not reach the caller's."""
    return tuple(tensor.detach() for tensor in tensors)


def _attend(
    value: Tensor, spatial_shapes: Tensor, level_start_index: Tensor, locations: Tensor, weights: Tensor
) -> Tensor:
    batch, _, heads, channels = value.shape
    queries, points = locations.shape[1], locations.shape[4]
    output = value.new_zeros(batch * heads, channels, queries)
    if output.numel() == 0:
        return value.new_zeros(batch, queries, heads * channels)
    # (B, Q, M, L, P, ...) -> L x (B M, Q, P, ...); grid_sample has -1 and 1 at the outer borders of the corner pixels.
    grids = (2 * locations - 1).permute(3, 0, 2, 1, 4, 5).reshape(-1, batch * heads, queries, points, 2)
    weights = weights.permute(3, 0, 2, 1, 4).reshape(-1, batch * heads, 1, queries, points)
    for level, (height, width) in enumerate(spatial_shapes.tolist()):
        start = int(level_start_index[level])
        maps = value[:, start : start + height * width].permute(0, 2, 3, 1)
        maps = maps.reshape(batch * heads, channels, height, width)
        samples = grid_sample(maps, grids[level], mode='bilinear', padding_mode='zeros', align_corners=False)
        output = output + (samples * weights[level]).sum(-1)
    return output.view(batch, heads * channels, queries).transpose(1, 2).contiguous()
