"""Normalisation over a whole image, with channels last."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        # torch's kernel for channels-last maps takes the variance as E[x^2] - E[x]^2, which loses all digits where the
        # mean is large: it gets the deviations from the mean. A constant taken off changes neither the norm nor its
        # gradient, hence the detach.
        centred = wide - wide.detach().mean(dim=(1, 2, 3), keepdim=True)
        weight, bias = self.weight.to(wide.dtype), self.bias.to(wide.dtype)
        y = F.group_norm(centred.permute(0, 3, 1, 2), 1, weight, bias, self.eps).permute(0, 2, 3, 1)
        return y.to(torch.promote_types(x.dtype, self.weight.dtype))
