"""ShiftViT's channel mixer (arXiv 2201.10801): a norm over the image, a perceptron of two layers, and the residual."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mmseq.ops.dispatch import Choice, choose
from mmseq.ops.global_norm_mlp.composed import global_norm_mlp_composed
from mmseq.ops.global_norm_mlp.native import global_norm_mlp_native
from mmseq.ops.global_norm_mlp.reference import global_norm_mlp_reference
from mmseq.ops.symbolic import eager_on_cpu, why_not_eager

BACKENDS: Mapping[str, Callable[..., Tensor]] = {
    'reference': global_norm_mlp_reference,
    'composed': global_norm_mlp_composed,
    'native': global_norm_mlp_native,
}


def global_norm_mlp(
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
    """x + keep (W2 gelu(W1 norm(x) + b1) + b2), where the norm takes mean and variance over H, W and C of each image.

    Args:
        x: (B, H, W, C), any strides; in float32 or float64 where the backend is ``native``.
        scale: of the norm (C,).
        shift: of the norm (C,).
        eps: added to the variance.
        w1: (D, C).
        b1: (D,).
        w2: (C, D).
        b2: (C,).
        keep: (B,), factors of the branch, image by image; None is 1.

    Returns:
        (B, H, W, C).
    """
    run = choose(
        'global_norm_mlp', BACKENDS, lambda: prefer(x), x, exported=global_norm_mlp_composed, beside=('triton',)
    )
    return run(x, scale, shift, eps, w1, b1, w2, b2, keep)


def prefer(x: Tensor) -> Choice:
    """``native`` where it serves (B, H, W, C) better than its parts: in eager code on a CPU, on large maps.

    Folding the norm costs passes over the weights, and saves passes over the cells: few of those where no gradients are
    made, so that a map must then be larger.
    """
    # Compilers are asked for first: the sizes that follow may be symbols to them.
    if not eager_on_cpu(x):
        return Choice('composed', why_not_eager(x))
    if torch.is_autocast_enabled('cpu') or x.dtype not in (torch.float32, torch.float64):
        return Choice('composed', 'low precision')
    cells_per_channel = 8 if torch.is_grad_enabled() else 128
    if x.shape[1] * x.shape[2] < cells_per_channel * x.shape[3]:
        return Choice('composed', 'small map on the CPU')
    return Choice('native', 'large map on the CPU')
