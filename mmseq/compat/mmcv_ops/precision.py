"""The precision in which the stand-in operators compute."""

from __future__ import annotations

import torch
from torch import Tensor


def compute_dtype(tensor: Tensor) -> torch.dtype:
    """float64 for float64, float32 for all others.

    half and bfloat16 hold a coordinate of 1000 to one or to eight pixels: fit for storing features, not for computing
    sample positions or sums.
    """
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def widen(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors in the compute precision of the first, without gradients."""
    dtype = compute_dtype(tensors[0])
    return tuple(tensor.detach().to(dtype) for tensor in tensors)
