"""Learned position embeddings on a grid."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmseq.ops.symbolic import exporting


class PositionEmbedding(nn.Module):
    """Add a learned vector per cell: (B, H, W, C) to the same.

    Args:
        dim: C.
        grid: height and width of the learned grid. Any other H and W get it resized, bicubically and stretched over
            the map, in each forward pass; the parameter keeps its size.
    """

    def __init__(self, dim: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, *grid, dim), std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[1:3]
        # Resized to its own size it stays what it is.
        if not exporting() and size == self.weight.shape[1:3]:
            return x + self.weight
        grid = F.interpolate(self.weight.permute(0, 3, 1, 2), size, mode='bicubic', align_corners=False)
        return x + grid.permute(0, 2, 3, 1)
