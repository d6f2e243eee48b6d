"""Norm, MLP and residual as they are written down: the judge of every other backend."""

import torch
from torch import Tensor
from torch.nn import functional as F


def global_norm_mlp_reference(
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
    variance, mean = torch.var_mean(x, dim=(1, 2, 3), correction=0, keepdim=True)
    y = (x - mean) * (variance + eps).rsqrt() * scale + shift
    branch = F.linear(F.gelu(F.linear(y, w1, b1)), w2, b2)
    return x + (branch if keep is None else branch * keep.view(-1, 1, 1, 1))
