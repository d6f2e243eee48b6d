"""The shift in plain torch: one allocation, every element written once (borders twice), forward and backward."""

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from mmseq.ops.differentiable import several
from mmseq.ops.symbolic import eager_on_cpu, tracing

# Moves of the four groups: the axis of (B, H, W, C), and by how many cells.
MOVES = ((2, -1), (2, 1), (1, -1), (1, 1))
# Channels that are gathered at once; copying fewer costs more than to look up where they come from.
LEAST_RUN = 4


def move(target: Tensor, source: Tensor, axis: int, step: int) -> None:
    """Write ``source`` into ``target``, moved by ``step`` (1 or -1) cells along the axis; the freed cells become 0."""
    length = source.shape[axis] - 1
    ahead, behind = (1, 0) if step > 0 else (0, 1)
    target.narrow(axis, ahead, length).copy_(source.narrow(axis, behind, length))
    target.select(axis, 0 if step > 0 else length).zero_()


def by_groups(x: Tensor, group: int, sign: int) -> Tensor:
    """Group by group."""
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    for n, (axis, step) in enumerate(MOVES):
        channels = slice(n * group, (n + 1) * group)
        move(y[..., channels], x[..., channels], axis, sign * step)
    y[..., 4 * group :] = x[..., 4 * group :]
    return y


# Both signs of four stages. An index has 4 bytes for each run.
@lru_cache(maxsize=8)
def sources(height: int, width: int, runs: int, runs_of_group: int, sign: int) -> Tensor:
    """Where each run of channels of an image comes from; at the border anywhere within it."""
    index = torch.arange(height * width * runs, dtype=torch.int32)
    groups = index.view(height * width, runs)
    for n, (axis, step) in enumerate(MOVES):
        cells = width if axis == 1 else 1
        groups[:, n * runs_of_group : (n + 1) * runs_of_group] -= sign * step * cells * runs
    return index.clamp_(0, len(index) - 1)


def by_runs(x: Tensor, group: int, sign: int) -> Tensor:
    """All groups in one gather of runs of neighbouring channels: on the CPU twice as fast as group by group."""
    _, height, width, channels = x.shape
    run = math.gcd(group, channels)
    index = sources(height, width, channels // run, group // run, sign)
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    for image, out in zip(x, y):
        torch.index_select(image.reshape(-1, run), 0, index, out=out.view(-1, run))
    for n, (axis, step) in enumerate(MOVES):
        border = 0 if sign * step > 0 else x.shape[axis] - 1
        y.select(axis, border)[..., n * group : (n + 1) * group].zero_()
    return y


class Shift(torch.autograd.Function):
    """The shift and, with ``sign=-1``, its transpose: the same groups, each moved the other way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: int, sign: int) -> Tensor:
        ctx.group, ctx.sign = group, sign
        runs = eager_on_cpu(x) and not several(x) and math.gcd(group, x.shape[3]) >= LEAST_RUN and x.numel() < 2**31
        return (by_runs if runs else by_groups)(x, group, sign)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return Shift.apply(grad, ctx.group, -ctx.sign), None, None


def shift2d_native(x: Tensor, n_div: int) -> Tensor:
    """See :func:`mmseq.ops.shift2d`."""
    group = x.shape[3] // n_div
    # TorchScript cannot write down gradients made in Python.
    return by_groups(x, group, 1) if tracing() else Shift.apply(x, group, 1)
