"""Normalisation over a whole image, with channels last."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmseq.ops.symbolic import eager_on_cpu, exporting


class GlobalNorm(nn.GroupNorm):
    """Group norm of one group: mean and variance over H, W and C of each image, then a scale and shift per channel.

    What ``nn.GroupNorm(1, dim)`` is to channels-first maps: (B, H, W, C) to the same.

    Args:
        dim: C.
        eps: added to the variance.

    The statistics are those of all cells, padding included. They are taken in float32 at least; as torch's own norms do
    under autocast, a low-precision input is answered in the precision of the weights.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        # By its class mmengine's rules for norms (norm_decay_mult) know it.
        super().__init__(1, dim, eps)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        weight, bias = self.weight.to(wide.dtype), self.bias.to(wide.dtype)
        if exporting():
            y = written_out(wide, weight, bias, self.eps)
        elif eager_on_cpu(x):
            y = Normalise.apply(wide, weight, bias, self.eps)
        else:
            y = through_group_norm(wide, weight, bias, self.eps)
        return y.to(torch.promote_types(x.dtype, self.weight.dtype))


def written_out(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """As its formula, which is right for maps of any size; torch.export records the kernel for more than one cell."""
    centred = x - x.mean(dim=(1, 2, 3), keepdim=True)
    return centred * (centred.square().mean(dim=(1, 2, 3), keepdim=True) + eps).rsqrt() * weight + bias


def through_group_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """By torch's own kernel, which the GPU and compilers have."""
    # The kernel for channels-last maps takes the variance as E[x^2] - E[x]^2, which loses all digits where the mean is
    # large: it gets the deviations from the mean. A constant taken off changes neither the norm nor its gradient,
    # hence the detach.
    centred = x - x.detach().mean(dim=(1, 2, 3), keepdim=True)
    return F.group_norm(centred.permute(0, 3, 1, 2), 1, weight, bias, eps).permute(0, 2, 3, 1)


class Normalise(torch.autograd.Function):
    """The same on the CPU, where torch's kernel for channels-last maps takes four times as long: image by image, every
    pass over one image's memory in place."""

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
        ctx.save_for_backward(x, weight)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
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
    flat = image.view(-1)
    mean = flat.mean()
    return mean, torch.dot(flat, flat) / flat.numel() - mean.square()
