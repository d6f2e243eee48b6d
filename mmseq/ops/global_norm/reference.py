"""The norm over an image as it is written down: the judge of every other backend."""

from torch import Tensor


def global_norm_reference(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """See :func:`mmseq.ops.global_norm`."""
    centred = x - x.mean(dim=(1, 2, 3), keepdim=True)
    return centred * (centred.square().mean(dim=(1, 2, 3), keepdim=True) + eps).rsqrt() * weight + bias
