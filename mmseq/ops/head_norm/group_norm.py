"""Norm and skip with torch's own kernel, which GPUs and compilers have."""

from torch import Tensor
from torch.nn import functional as F


def head_norm_group_norm(h: Tensor, weight: Tensor, bias: Tensor | None, eps: float, skip: Tensor, c: Tensor) -> Tensor:
    """See :func:`mmseq.ops.head_norm`."""
    batch, heads, length, _ = h.shape
    steps = h.transpose(1, 2).reshape(batch * length, -1)
    return F.group_norm(steps, heads, weight, bias, eps).view(batch, length, -1) + skip * c
