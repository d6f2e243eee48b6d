"""Sums of so many numbers that float32 would lose digits."""

import torch
from torch import Tensor

# Numbers that are summed in their own dtype; the sums of so many each are summed in float64.
SHORT = 1024


def sum_of_squares(x: Tensor) -> Tensor:
    """Of all numbers of a contiguous tensor, in float64; a dot product of two million in float32 is off by 1e-3."""
    flat = x.view(-1)
    whole = len(flat) - len(flat) % SHORT
    norms = torch.linalg.vector_norm(flat[:whole].view(-1, SHORT), dim=1)
    return norms.double().square().sum() + flat[whole:].double().square().sum()
