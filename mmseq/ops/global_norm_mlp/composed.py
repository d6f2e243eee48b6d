"""Norm, MLP and residual one after the other, each by the kernel that its device has."""

from torch import Tensor
from torch.nn import functional as F

from mmseq.ops.global_norm import global_norm
from mmseq.ops.in_place import add_branch, gelu


def global_norm_mlp_composed(
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
    hidden = F.linear(global_norm(x, scale, shift, eps), w1, b1)
    branch = F.linear(gelu(hidden, spare=True), w2, b2)
    return add_branch(x, branch if keep is None else branch * keep.view(-1, 1, 1, 1).to(branch.dtype), spare=True)
