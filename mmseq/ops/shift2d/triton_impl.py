"""The shift as one Triton kernel: every element read and written once, from any strides, forward and backward."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmseq.ops.triton_common import need_machine

BLOCK = 1024
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


@triton.jit(do_not_specialize=['height', 'width', 'group', 'sign'])
def shift_kernel(
    x, y, height, width, channels, group, sign, stride_b, stride_h, stride_w, stride_c, BLOCK: tl.constexpr
):
    """A block of one row of the map: (W, C) as they lie in ``y``."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < width * channels
    w = at // channels
    c = at % channels
    h = row % height
    # Where an element comes from: its right neighbour if it moves left, and so on.
    from_w = w + sign * ((c < group).to(tl.int32) - ((c >= group) & (c < 2 * group)).to(tl.int32))
    vertical = ((c >= 2 * group) & (c < 3 * group)).to(tl.int32) - ((c >= 3 * group) & (c < 4 * group)).to(tl.int32)
    from_h = h + sign * vertical
    known = inside & (from_w >= 0) & (from_w < width) & (from_h >= 0) & (from_h < height)
    source = (row // height) * stride_b + from_h * stride_h + from_w.to(tl.int64) * stride_w + c * stride_c
    value = tl.load(x + source, mask=known, other=0)
    tl.store(y + row * width * channels + at, value, mask=inside)


@torch.library.custom_op('mmseq::shift2d', mutates_args=())
def shift(x: Tensor, group: int, sign: int) -> Tensor:
    """The shift and, with ``sign=-1``, its transpose: (B, H, W, C) to the same, contiguous."""
    batch, height, width, channels = x.shape
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    if y.numel():
        grid = (batch * height, triton.cdiv(width * channels, BLOCK))
        # A launch goes to the current device, which need not be the tensors'.
        with torch.cuda.device_of(x):
            shift_kernel[grid](x, y, height, width, channels, group, sign, *x.stride(), BLOCK=BLOCK)
    return y


@shift.register_fake
def _(x: Tensor, group: int, sign: int) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def remember(ctx: Any, inputs: tuple[Tensor, int, int], output: Tensor) -> None:
    _, ctx.group, ctx.sign = inputs


def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    return shift(grad, ctx.group, -ctx.sign), None, None


shift.register_autograd(backward, setup_context=remember)


def shift2d_triton(x: Tensor, n_div: int) -> Tensor:
    """See :func:`mmseq.ops.shift2d`.

    Raises:
        InputError: no GPU and no interpreter, or a dtype other than the four floating ones.
    """
    need_machine('shift2d', x, DTYPES)
    return shift(x, x.shape[3] // n_div, 1)
