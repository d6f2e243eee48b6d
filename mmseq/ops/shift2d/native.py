"""The shift in plain torch: one allocation, every element written once, forward and backward."""

from typing import Any

import torch
from torch import Tensor


def move(target: Tensor, source: Tensor, axis: int, step: int) -> None:
    """Write ``source`` into ``target``, moved by ``step`` (1 or -1) cells along the axis, and 0 into what it left."""
    length = source.shape[axis] - 1
    ahead, behind = (1, 0) if step > 0 else (0, 1)
    target.narrow(axis, ahead, length).copy_(source.narrow(axis, behind, length))
    target.select(axis, 0 if step > 0 else length).zero_()


class Shift(torch.autograd.Function):
    """The shift and, with ``sign=-1``, its transpose: the same groups, each moved the other way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: int, sign: int) -> Tensor:
        ctx.group, ctx.sign = group, sign
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        for n, (axis, step) in enumerate(((2, -1), (2, 1), (1, -1), (1, 1))):
            channels = slice(n * group, (n + 1) * group)
            move(y[..., channels], x[..., channels], axis, sign * step)
        y[..., 4 * group :] = x[..., 4 * group :]
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return Shift.apply(grad, ctx.group, -ctx.sign), None, None


def shift2d_native(x: Tensor, n_div: int) -> Tensor:
    """See :func:`mmseq.ops.shift2d`."""
    return Shift.apply(x, x.shape[3] // n_div, 1)
