"""Normalisation over a whole image, with channels last."""

import torch
from torch import Tensor, nn


class GlobalNorm(nn.Module):
    """Group norm of one group: mean and variance over H, W and C of each image, then a scale and shift per channel.

    What ``nn.GroupNorm(1, dim)`` is to channels-first maps: (B, H, W, C) to the same.

    Args:
        dim: C.
        eps: added to the variance.

    The statistics are those of all cells, padding included. They are taken in float32 at least, with the deviations
    from the mean squared and not the values, so that a mean far from zero costs no digits. As torch's own norms do
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
        variance, mean = torch.var_mean(wide, dim=(1, 2, 3), correction=0, keepdim=True)
        # One pass over the image: (x - mean) / deviation * weight + bias, with the factors joined per channel.
        scale = (variance + self.eps).rsqrt() * self.weight
        y = torch.addcmul(self.bias - mean * scale, wide, scale)
        return y.to(torch.promote_types(x.dtype, self.weight.dtype))

    def extra_repr(self) -> str:
        return f'{self.dim}, eps={self.eps}'
