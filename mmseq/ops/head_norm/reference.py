"""Norm and skip as they are written down: the judge of every other backend."""

import torch
from torch import Tensor


def head_norm_reference(h: Tensor, weight: Tensor, bias: Tensor | None, eps: float, skip: Tensor, c: Tensor) -> Tensor:
    """See :func:`mmseq.ops.head_norm`."""
    variance, mean = torch.var_mean(h, dim=-1, correction=0, keepdim=True)
    y = ((h - mean) * (variance + eps).rsqrt()).transpose(1, 2).flatten(2) * weight
    return (y if bias is None else y + bias) + skip * c
