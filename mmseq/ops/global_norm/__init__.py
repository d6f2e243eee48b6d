"""ShiftViT's norm (arXiv 2201.10801): mean and variance over a whole image, with channels last."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mmseq.ops.dispatch import Choice, choose
from mmseq.ops.global_norm.group_norm import global_norm_group_norm
from mmseq.ops.global_norm.native import global_norm_native
from mmseq.ops.global_norm.reference import global_norm_reference
from mmseq.ops.symbolic import eager_on_cpu, why_not_eager

BACKENDS: Mapping[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    'reference': global_norm_reference,
    'group_norm': global_norm_group_norm,
    'native': global_norm_native,
}


def global_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """weight (x - mean) / sqrt(variance + eps) + bias, where the statistics are those of each image's H, W and C.

    Args:
        x: (B, H, W, C), any strides.
        weight: (C,).
        bias: (C,).
        eps: added to the variance.

    Returns:
        (B, H, W, C) in the wider dtype of x and weight; it is computed in float32 at least.
    """

    def prefer() -> Choice:
        if eager_on_cpu(x):
            return Choice('native', 'eager code on the CPU')
        return Choice('group_norm', why_not_eager(x))

    wide = torch.promote_types(x.dtype, torch.float32)
    # As a formula it is right for maps of any size; torch.export records the kernel for more than one cell.
    run = choose('global_norm', BACKENDS, prefer, x, exported=global_norm_reference, beside=('triton',))
    return run(x.to(wide), weight.to(wide), bias.to(wide), eps).to(torch.promote_types(x.dtype, weight.dtype))
