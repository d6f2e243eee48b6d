"""Normalisation over a whole image, with channels last."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GlobalNorm(nn.Module):
    """Group norm of one group: mean and variance over H, W and C of each image, then a scale and shift per channel.

    What ``nn.GroupNorm(1, dim)`` is to channels-first maps: (B, H, W, C) to the same.

    Args:
        dim: C.
        eps: added to the variance.

    The statistics are those of all cells, padding included. They are taken in float32 at least; as torch's own norms do
    under autocast, a low-precision input is answered in the precision of the weights.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        # torch's kernel for channels-last maps takes the variance as E[x^2] - E[x]^2, which loses all digits where the
        # mean is large: it gets the deviations from the mean. A constant taken off changes neither the norm nor its
        # gradient, hence the detach.
        centred = wide - wide.detach().mean(dim=(1, 2, 3), keepdim=True)
        weight, bias = self.weight.to(wide.dtype), self.bias.to(wide.dtype)
        y = F.group_norm(centred.permute(0, 3, 1, 2), 1, weight, bias, self.eps).permute(0, 2, 3, 1)
        return y.to(torch.promote_types(x.dtype, self.weight.dtype))

    def extra_repr(self) -> str:
        return f'{self.dim}, eps={self.eps}'
