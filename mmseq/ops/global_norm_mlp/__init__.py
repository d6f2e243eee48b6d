"""ShiftViT's channel mixer (arXiv 2201.10801): a norm over the image, a perceptron of two layers, and the residual."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mmseq.ops.dispatch import asked, choose
from mmseq.ops.global_norm_mlp.native import global_norm_mlp_native
from mmseq.ops.global_norm_mlp.reference import global_norm_mlp_reference
from mmseq.ops.symbolic import eager_on_cpu

BACKENDS: Mapping[str, Callable[..., Tensor]] = {
    'reference': global_norm_mlp_reference,
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
        x: (B, H, W, C) in float32 or float64, any strides.
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
    run = choose('global_norm_mlp', BACKENDS, 'native' if x.device.type == 'cpu' else 'reference', x)
    return run(x, scale, shift, eps, w1, b1, w2, b2, keep)


def fits(x: Tensor) -> bool:
    """Whether the operator serves (B, H, W, C) better than its parts: in eager code on a CPU, on large maps.

    Folding the norm costs passes over the weights, and saves passes over the cells: few of those where no gradients are
    made, so that a map must then be larger.
    """
    cells_per_channel = 8 if torch.is_grad_enabled() else 128
    # Compilers are asked for first: the sizes that follow may be symbols to them.
    return (
        eager_on_cpu(x)
        and x.shape[1] * x.shape[2] >= cells_per_channel * x.shape[3]
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled('cpu')
        and asked() in (None, 'native')
    )
