"""Norm, MLP and residual on the CPU in as few passes over as little memory as they need.

Shapes: T cells of one image, C channels, D hidden ones. The norm's scale and shift go into the first product,

    W1' = W1 * factor,   b1' = b1 + W1 constant,   h = c W1'^T + b1',
    factor = scale / deviation,   constant = shift - rest * factor,   rest: the mean of c,

so that the product takes the cells as they are, c = x, or less their mean where that is so large that it would cost
digits. The gradient with respect to W1', which the first product has to make anyway, holds the sums over the cells that
the norm's own gradient needs:

    sum_t dc = W1'^T db1',      sum_t,c dc c = sum W1' * dW1'.

Kept for the backward pass are x and h. Both passes go over the cells in tiles.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mmseq.ops.differentiable import by_formula, formula_wanted
from mmseq.ops.global_norm_mlp.reference import global_norm_mlp_reference
from mmseq.ops.sums import sum_of_squares

TILE = 2**21
"""Hidden numbers of a tile: 8 MB in float32, more than the second-level caches of two cores hold. Smaller tiles are
slower in training, larger ones no faster."""
gelu = torch.ops.aten.gelu.out
gelu_backward = torch.ops.aten.gelu_backward.grad_input


def tiles(length: int, hidden: int) -> Iterator[slice]:
    """Equal parts of the cells, but for the last."""
    count = -(-length * hidden // TILE)
    step = -(-length // count)
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


Moments = tuple[Tensor, Tensor, Tensor]


class Norm:
    """The norm of one image (T, C)."""

    def __init__(self, image: Tensor, scale: Tensor, shift: Tensor, eps: float, moments: Moments | None = None) -> None:
        self.image, self.scale = image, scale
        self.buffer = image.new_empty(0, image.shape[1])
        self.moments = self.mean, self.rest, self.rstd = moments or self.measure(eps)
        self.factor = self.rstd * scale
        self.constant = shift - self.rest * self.factor

    def measure(self, eps: float) -> Moments:
        """What is taken off the cells, the mean of what is left, and 1 / deviation.

        Nothing is taken off where the mean is smaller than the deviation: digits are lost to a large one only.
        """
        self.mean = self.image.new_zeros(())
        rest, variance = self.sums()
        if rest.square() > variance:
            self.mean = rest.to(self.mean.dtype)
            rest, variance = self.sums()
        return self.mean, rest.to(self.mean.dtype), (variance + eps).rsqrt().to(self.mean.dtype)

    def sums(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of the cells as they are now, in float64."""
        total, squares = self.image.new_zeros(2, dtype=torch.float64)
        for tile in tiles(*self.image.shape):
            c = self.cells(tile)
            total += c.sum()
            squares += sum_of_squares(c)
        mean = total / self.image.numel()
        return mean, squares / self.image.numel() - mean.square()

    def cells(self, tile: slice) -> Tensor:
        """c of a tile; the next call overwrites it."""
        part = self.image[tile]
        if not self.mean:
            return part
        if len(self.buffer) < len(part):
            self.buffer = torch.empty_like(part)
        return torch.sub(part, self.mean, out=self.buffer[: len(part)])

    def finish(self, to_x: Tensor, to_factor: Tensor, to_constant: Tensor, hidden: int) -> tuple[Tensor, Tensor]:
        """The gradients of scale and shift; ``to_x`` gets what the statistics add."""
        to_factor = to_factor - self.rest * to_constant
        # d x = d c, less its mean, less what the variance takes back of c - rest.
        slope = self.rstd.pow(3) * (to_factor @ self.scale) / to_x.numel()
        constant = slope * self.rest - (to_constant @ self.factor) / to_x.numel()
        for tile in tiles(len(to_x), hidden):
            to_x[tile].addcmul_(self.cells(tile), -slope).add_(constant)
        return self.rstd * to_factor, to_constant


def fold(norm: Norm, w1: Tensor, b1: Tensor) -> tuple[Tensor, Tensor]:
    """The first product with the norm in it."""
    return w1 * norm.factor, torch.addmv(b1, w1, norm.constant)


def forward(norm: Norm, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, out: Tensor, training: bool) -> list[Tensor]:
    """Fill ``out`` (T, C) and return h, tile by tile, if it will be needed."""
    weight, bias = fold(norm, w1, b1)
    kept: list[Tensor] = []
    buffer = None
    for tile in tiles(len(out), len(w1)):
        hidden = F.linear(norm.cells(tile), weight, bias)
        if training:
            kept.append(hidden)
            buffer = torch.empty_like(hidden) if buffer is None else buffer
            hidden = gelu(hidden, out=buffer[: len(hidden)])
        else:
            torch.ops.aten.gelu_(hidden)
        torch.add(norm.image[tile], b2, out=out[tile]).addmm_(hidden, w2.mT)
    return kept


def backward(
    norm: Norm, g: Tensor, kept: list[Tensor], w1: Tensor, b1: Tensor, w2: Tensor, to_x: Tensor
) -> list[Tensor]:
    """Fill ``to_x`` (T, C) and return the gradients of scale, shift, W1, b1, W2 and b2, from that of the answer."""
    weight, _ = fold(norm, w1, b1)
    to_weight, to_b1 = torch.zeros_like(w1), w1.new_zeros(1, len(w1))
    to_w2, to_b2 = torch.zeros_like(w2), w2.new_zeros(1, len(w2))
    buffer = torch.empty_like(kept[0])
    for tile, h in zip(tiles(len(g), len(w1)), kept):
        part = g[tile]
        # A product with ones is a faster sum over the first axis.
        ones = g.new_ones(1, len(part))
        active = gelu(h, out=buffer[: len(h)])
        to_w2.addmm_(part.mT, active)
        to_b2.addmm_(ones, part)
        to_hidden = torch.mm(part, w2, out=active)
        gelu_backward(to_hidden, h, grad_input=to_hidden)
        to_weight.addmm_(to_hidden.mT, norm.cells(tile))
        to_b1.addmm_(ones, to_hidden)
        # The statistics add their share when all sums are known.
        torch.addmm(part, to_hidden, weight, out=to_x[tile])
    to_b1, to_b2 = to_b1[0], to_b2[0]
    to_scale, to_shift = norm.finish(to_x, (to_weight * w1).sum(0), to_b1 @ w1, len(w1))
    to_w1 = to_weight.mul_(norm.factor).addr_(to_b1, norm.constant)
    return [to_scale, to_shift, to_w1, to_b1, to_w2, to_b2]


class GlobalNormMlp(torch.autograd.Function):
    """Image by image: (B, T, C) to the same. ``keep`` has a factor of the branch for each image."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, eps: float, keep: list[float], *mlp: Tensor
    ) -> Tensor:
        w1, b1, w2, b2 = mlp
        training = any(ctx.needs_input_grad)
        y = torch.empty_like(x)
        kept: list[Tensor] = []
        ctx.moments = []
        for image, factor, out in zip(x, keep, y):
            if factor:
                norm = Norm(image, scale, shift, eps)
                kept += forward(norm, w1, b1, w2 * factor, b2 * factor, out, training)
            else:
                norm = None
                out.copy_(image)
            ctx.moments.append(norm and norm.moments)
        if training:
            ctx.save_for_backward(x, scale, shift, w1, b1, w2, b2, *kept)
            ctx.eps, ctx.keep = eps, keep
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, shift, w1, b1, w2, b2, *kept = ctx.saved_tensors
        if formula_wanted(grad):
            return by_formula(sequence_formula, (x, scale, shift, ctx.eps, ctx.keep, w1, b1, w2, b2), grad)
        grad = grad.contiguous()
        to_x = torch.empty_like(grad)
        sums = [torch.zeros_like(t) for t in (scale, shift, w1, b1, w2, w2[:, 0])]
        count = len(list(tiles(x.shape[1], len(w1))))
        for image, factor, moments, g, out in zip(x, ctx.keep, ctx.moments, grad, to_x):
            if not factor:
                out.copy_(g)
                continue
            norm = Norm(image, scale, shift, ctx.eps, moments)
            mine, kept = kept[:count], kept[count:]
            shares = backward(norm, g, mine, w1, b1, w2 * factor, out)
            for total, share in zip(sums, shares[:4] + [factor * share for share in shares[4:]]):
                total += share
        return to_x, *sums[:2], None, None, *sums[2:]


def sequence_formula(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    eps: float,
    keep: list[float],
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
) -> Tensor:
    """See :class:`GlobalNormMlp`."""
    factors = x.new_tensor(keep)
    return global_norm_mlp_reference(x[:, None], scale, shift, eps, w1, b1, w2, b2, factors)[:, 0]


def global_norm_mlp_native(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    eps: float,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    keep: Tensor | None = None,
) -> Tensor:
    """See :func:`mmseq.ops.global_norm_mlp`."""
    factors = [1.0] * len(x) if keep is None else keep.tolist()
    return GlobalNormMlp.apply(x.contiguous().flatten(1, 2), scale, shift, eps, factors, w1, b1, w2, b2).view(x.shape)
