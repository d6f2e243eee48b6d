"""Deformable convolution (arXiv 1703.06211, 1811.11168) with the calling convention of `mmcv._ext`.

torchvision's operator has mmcv's layout: offsets (N, 2 * deformable_group * kH * kW, H_out, W_out), y before x for each
point of the kernel; masks (N, deformable_group * kH * kW, H_out, W_out). `columns`, `ones` and `im2col_step` belong to
mmcv's way of computing and have no effect here.
"""

from __future__ import annotations

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

from mmseq.compat.mmcv_ops.precision import widen

# Height before width, then (groups, deformable groups, with a mask): the tail of torchvision's argument list.
Geometry = tuple[int, int, int, int, int, int, int, int, bool]


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Fill `output` (N, C_out, H_out, W_out) from `input` (N, C_in, H, W), `weight` (C_out, C_in / group, kH, kW)."""
    geometry = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group, False)
    _forward(input, weight, offset, None, None, output, geometry)


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Add to `gradInput` and fill `gradOffset`, shaped like `input` and `offset`."""
    geometry = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group, False)
    grad_input, _, grad_offset, _, _ = _backward(gradOutput, input, weight, offset, None, geometry)
    gradInput.add_(grad_input)
    gradOffset.copy_(grad_offset)


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Add `scale` times the weight's gradient to `gradWeight` (C_out, C_in / group, kH, kW)."""
    geometry = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group, False)
    # The gradient by the weight does not depend on the weight: a buffer of its shape does.
    _, grad_weight, _, _, _ = _backward(gradOutput, input, torch.zeros_like(gradWeight), offset, None, geometry)
    gradWeight.add_(grad_weight, alpha=scale)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Fill `output` as `deform_conv_forward`, each sample times its mask; `bias` (C_out,) counts if `with_bias`."""
    geometry = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group, True)
    _forward(input, weight, offset, mask, bias if with_bias else None, output, geometry)


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Add to the gradients of input, weight and bias; fill those of offset and mask."""
    geometry = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group, True)
    by_input, by_weight, by_offset, by_mask, by_bias = _backward(grad_output, input, weight, offset, mask, geometry)
    grad_input.add_(by_input)
    grad_weight.add_(by_weight)
    grad_offset.copy_(by_offset)
    grad_mask.copy_(by_mask)
    if with_bias:
        grad_bias.add_(by_bias)


def _forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    output: Tensor,
    geometry: Geometry,
) -> None:
    arguments = _arguments(input, weight, offset, mask, bias)
    output.copy_(torch.ops.torchvision.deform_conv2d(*arguments, *geometry))


def _backward(
    grad_output: Tensor, input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, geometry: Geometry
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of input, weight, offset, mask and bias."""
    arguments = _arguments(input, weight, offset, mask, None)
    grad = grad_output.to(arguments[0].dtype).contiguous()
    return torch.ops.torchvision._deform_conv2d_backward(grad, *arguments, *geometry)


def _arguments(
    input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, bias: Tensor | None
) -> tuple[Tensor, ...]:
    """Input, weight, offset, mask and bias in the compute precision, with the fillers torchvision asks for."""
    mask = input.new_zeros((input.shape[0], 1)) if mask is None else mask
    bias = input.new_zeros(weight.shape[0]) if bias is None else bias
    return tuple(tensor.contiguous() for tensor in widen(input, weight, offset, mask, bias))
