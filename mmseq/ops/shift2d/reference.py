"""The shift as it is written down: the judge of every other backend."""

import torch
from torch import Tensor
from torch.nn import functional as F


def shift2d_reference(x: Tensor, n_div: int) -> Tensor:
    """See :func:`mmseq.ops.shift2d`."""
    channels = x.shape[3]
    group = channels // n_div
    left, right, up, down, still = x.split([group] * 4 + [channels - 4 * group], dim=3)
    # The padding is (C, C, W, W, H, H), each before and after.
    left = F.pad(left[:, :, 1:], (0, 0, 0, 1))
    right = F.pad(right[:, :, :-1], (0, 0, 1, 0))
    up = F.pad(up[:, 1:], (0, 0, 0, 0, 0, 1))
    down = F.pad(down[:, :-1], (0, 0, 0, 0, 1, 0))
    return torch.cat([left, right, up, down, still], dim=3)
