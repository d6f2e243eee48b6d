"""Norm and MLP on the CPU in as few passes over as little memory as they need.

Shapes: T cells of one image, C channels, D hidden ones. The norm's scale and shift go into the first product,

    W1' = W1 * (rstd scale),   b1' = b1 + W1 (shift - rest rstd scale),   h = c W1'^T + b1',

so that only the centred image c = x - mean is made, never its normalised form. The gradient with respect to W1', which
the first product has to make anyway, holds all sums over the cells that the norm's own gradient needs:

    sum_t dc = W1'^T db1',      sum_t,c dc c = sum W1' * dW1'.

Kept for the backward pass are c and h, a half of what norm, products and GELU keep by themselves. Both passes go over
the cells in tiles whose hidden channels stay in the cache.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmseq.ops.cpu_linear import cpu_linear

TILE = 2**19
"""Hidden numbers of a tile; 2 MB in float32 measured best on two cores with 2 MB of second-level cache each."""


class Folded(NamedTuple):
    """The first product with an image's norm in it."""

    weight: Tensor
    bias: Tensor
    factor: Tensor
    rest: Tensor
    rstd: Tensor


def centre(image: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """An image without its mean (T, C), what that mean lost by rounding, and 1 / standard deviation."""
    centred = image - image.mean()
    rest = centred.mean()
    flat = centred.view(-1)
    variance = torch.dot(flat, flat) / flat.numel() - rest.square()
    return centred, rest, (variance + eps).rsqrt()


def fold(rest: Tensor, rstd: Tensor, scale: Tensor, shift: Tensor, w1: Tensor, b1: Tensor) -> Folded:
    factor = rstd * scale
    return Folded(w1 * factor, torch.addmv(b1, w1, shift - rest * factor), factor, rest, rstd)


def tiles(length: int, hidden: int) -> Iterator[slice]:
    """Equal parts of the cells, but for the last."""
    count = -(-length * hidden // TILE)
    step = -(-length // count)
    return (slice(start, start + step) for start in range(0, length, step))


class GlobalNormMlp(torch.autograd.Function):
    """Image by image, since each has its own statistics and so its own W1'. Returns (B T, C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, eps: float, *mlp: Tensor) -> Tensor:
        w1, b1, w2, b2 = mlp
        length = x.shape[1] * x.shape[2]
        training = any(ctx.needs_input_grad)
        # A view that is made in here could not be added to in place, so the images are joined already.
        y = x.new_empty(len(x) * length, len(w2))
        kept = []
        for image, answer in zip(x.flatten(1, 2), y.split(length)):
            centred, rest, rstd = centre(image, eps)
            folded = fold(rest, rstd, scale, shift, w1, b1)
            hidden = x.new_empty(length, len(w1)) if training else None
            for tile in tiles(length, len(w1)):
                active = cpu_linear(centred[tile], folded.weight, folded.bias, gelu=not training)
                if training:
                    hidden[tile] = active
                    torch.ops.aten.gelu_(active)
                answer[tile] = cpu_linear(active, w2, b2)
            kept += [centred, hidden, rest, rstd]
        if training:
            ctx.save_for_backward(scale, shift, *mlp[:3], *kept)
            ctx.size = x.shape
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scale, shift, w1, b1, w2, *kept = ctx.saved_tensors
        to_x, sums = grad.new_empty(ctx.size), None
        grads = grad.reshape(ctx.size[0], -1, grad.shape[1])
        images = zip(grads, to_x.flatten(1, 2), *(kept[i::4] for i in range(4)))
        for g, out, centred, hidden, rest, rstd in images:
            folded = fold(rest, rstd, scale, shift, w1, b1)
            shares = gradients(g, out, centred, hidden, folded, scale, shift, w1, w2)
            sums = shares if sums is None else [a.add_(b) for a, b in zip(sums, shares)]
        to_scale, to_shift, *mlp = sums
        return to_x, to_scale, to_shift, None, *mlp


def gradients(
    g: Tensor,
    to_x: Tensor,
    centred: Tensor,
    hidden: Tensor,
    folded: Folded,
    scale: Tensor,
    shift: Tensor,
    w1: Tensor,
    w2: Tensor,
) -> list[Tensor]:
    """Of one image, from that of its answer (T, C): of scale, shift, W1, b1, W2 and b2; ``to_x`` (T, C) is filled."""
    to_weight, to_b1 = torch.zeros_like(w1), w1.new_zeros(1, len(w1))
    to_w2, to_b2 = torch.zeros_like(w2), w2.new_zeros(1, len(w2))
    for tile in tiles(len(g), len(w1)):
        part, h = g[tile], hidden[tile]
        # A product with ones is a faster sum over the first axis.
        ones = g.new_ones(1, len(part))
        active = F.gelu(h)
        to_w2.addmm_(part.mT, active)
        to_b2.addmm_(ones, part)
        to_hidden = torch.mm(part, w2, out=active)
        torch.ops.aten.gelu_backward.grad_input(to_hidden, h, grad_input=to_hidden)
        to_weight.addmm_(to_hidden.mT, centred[tile])
        to_b1.addmm_(ones, to_hidden)
        torch.mm(to_hidden, folded.weight, out=to_x[tile])
    to_b1, to_b2 = to_b1[0], to_b2[0]
    by_bias = to_b1 @ w1
    to_factor = (to_weight * w1).sum(0) - folded.rest * by_bias
    # d x = d c, less its mean, less what the variance takes back of c - rest.
    slope = folded.rstd.pow(3) * (to_factor @ scale) / centred.numel()
    constant = slope * folded.rest - (by_bias @ folded.factor) / centred.numel()
    for tile in tiles(len(g), len(w1)):
        to_x[tile].addcmul_(centred[tile], -slope).add_(constant)
    to_w1 = to_weight.mul_(folded.factor).addr_(to_b1, shift - folded.rest * folded.factor)
    return [folded.rstd * to_factor, by_bias, to_w1, to_b1, to_w2, to_b2]


def global_norm_mlp_native(
    x: Tensor, scale: Tensor, shift: Tensor, eps: float, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor
) -> Tensor:
    """See :func:`mmseq.ops.global_norm_mlp`."""
    return GlobalNormMlp.apply(x.contiguous(), scale, shift, eps, w1, b1, w2, b2).view(*x.shape[:3], -1)
