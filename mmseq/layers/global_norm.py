"""Normalisation over a whole image, with channels last."""

from torch import Tensor, nn

from mmseq import ops


class GlobalNorm(nn.GroupNorm):
    """Group norm of one group: mean and variance over H, W and C of each image, then a scale and shift per channel.

    What ``nn.GroupNorm(1, dim)`` is to channels-first maps: (B, H, W, C) to the same.

    Args:
        dim: C.
        eps: added to the variance.

    The statistics are those of all cells, padding included. They are taken in float32 at least; as torch's own norms do
    under autocast, a low-precision input is answered in the precision of the weights.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        # By its class mmengine's rules for norms (norm_decay_mult) know it.
        super().__init__(1, dim, eps)

    def forward(self, x: Tensor) -> Tensor:
        return ops.global_norm(x, self.weight, self.bias, self.eps)
