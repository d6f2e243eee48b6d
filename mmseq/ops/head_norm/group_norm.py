"""Norm and skip with torch's own kernel, which GPUs and compilers have."""

from torch import Tensor
from torch.nn import functional as F


def head_norm_group_norm(h: Tensor, weight: Tensor, bias: Tensor | None, eps: float, skip: Tensor, c: Tensor) -> Tensor:
    """See :func:`mmseq.ops.head_norm`."""
    heads = h.shape[1]
    steps = h.transpose(1, 2).flatten(2).flatten(0, 1)
    weight, bias = weight.to(h.dtype), None if bias is None else bias.to(h.dtype)
    return F.group_norm(steps, heads, weight, bias, eps).view(c.shape) + skip * c
