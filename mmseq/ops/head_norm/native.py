"""Norm and skip on the CPU, where torch's group norm takes twice as long as a layer norm of the heads as they lie."""

from typing import Any

import torch
from torch import Tensor

from mmseq.ops.differentiable import by_formula, formula_wanted
from mmseq.ops.head_norm.reference import head_norm_reference


def head_norm_native(h: Tensor, weight: Tensor, bias: Tensor | None, eps: float, skip: Tensor, c: Tensor) -> Tensor:
    """See :func:`mmseq.ops.head_norm`."""
    return NormAndSkip.apply(h, weight, bias, eps, skip, c)


class NormAndSkip(torch.autograd.Function):
    """As :func:`mmseq.ops.head_norm`."""

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, weight: Tensor, bias: Tensor | None, eps: float, skip: Tensor, c: Tensor
    ) -> Tensor:
        normed, mean, rstd = torch.native_layer_norm(h, h.shape[-1:], None, None, eps)
        ctx.save_for_backward(h, mean, rstd, weight, bias, skip, c)
        ctx.eps = eps
        y = normed.transpose(1, 2).flatten(2).mul_(weight)
        if bias is not None:
            y += bias
        return y.addcmul_(c, skip)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        h, mean, rstd, weight, bias, skip, c = ctx.saved_tensors
        if formula_wanted(grad):
            return by_formula(head_norm_reference, (h, weight, bias, ctx.eps, skip, c), grad)
        by_head = grad.unflatten(-1, (h.shape[1], -1)).transpose(1, 2)
        to_normed = (by_head * weight.view(h.shape[1], 1, -1)).contiguous()
        to_h = torch.ops.aten.native_layer_norm_backward(
            to_normed, h, h.shape[-1:], mean, rstd, None, None, [True, False, False]
        )[0]
        # Made again rather than kept, in the memory of what is no longer needed.
        normed = torch.sub(h, mean, out=to_normed).mul_(rstd)
        to_weight = normed.mul_(by_head).sum((0, 2)).flatten()
        to_bias = None if bias is None else grad.sum((0, 1))
        return to_h, to_weight, to_bias, None, (grad * c).sum((0, 1)), grad * skip
