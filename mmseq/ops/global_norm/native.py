"""The norm over an image on the CPU, where torch's kernel for channels-last maps takes four times as long.

Image by image, every pass over one image's memory in place.
"""

from typing import Any

import torch
from torch import Tensor

from mmseq.ops.differentiable import by_formula, formula_wanted
from mmseq.ops.global_norm.reference import global_norm_reference
from mmseq.ops.sums import sum_of_squares


def global_norm_native(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """See :func:`mmseq.ops.global_norm`."""
    return Normalise.apply(x, weight, bias, eps)


class Normalise(torch.autograd.Function):
    """(B, H, W, C) to the same, with and without gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        moments = []
        for image, out in zip(x.contiguous(), y):
            mean, centred = image.new_zeros(()), image
            rest, variance = moments_of(image)
            # Digits are lost to a mean that is larger than the deviation, and to no other.
            if rest.square() > variance:
                mean, centred = rest, torch.sub(image, rest, out=out)
                rest, variance = moments_of(out)
            rstd = (variance + eps).rsqrt()
            scale = rstd * weight
            torch.addcmul(bias - rest * scale, centred, scale, out=out)
            moments.append((mean, rest, rstd))
        ctx.moments = moments
        ctx.eps = eps
        ctx.save_for_backward(x, weight, bias)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        if formula_wanted(grad):
            return by_formula(global_norm_reference, (x, weight, bias, ctx.eps), grad)
        to_x = torch.empty_like(x, memory_format=torch.contiguous_format)
        to_weight, to_bias = torch.zeros_like(weight), torch.zeros_like(weight)
        for image, g, out, (mean, rest, rstd) in zip(x, grad, to_x, ctx.moments):
            centred = image - mean if mean else image
            # Sums over the cells, which give all others: the norm's two means are sums over channels of these.
            bias_share = g.sum((0, 1))
            weight_share = torch.mul(g, centred, out=out).sum((0, 1)).sub_(rest * bias_share).mul_(rstd)
            to_weight += weight_share
            to_bias += bias_share
            slope = rstd.square() * (weight @ weight_share) / out.numel()
            constant = slope * rest - rstd * (weight @ bias_share) / out.numel()
            torch.addcmul(constant, g, rstd * weight, out=out)
            out.addcmul_(centred, -slope)
        return to_x, to_weight, to_bias, None


def moments_of(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of all numbers of a contiguous tensor."""
    mean = image.mean()
    return mean, (sum_of_squares(image) / image.numel() - mean.double().square()).to(mean.dtype)
