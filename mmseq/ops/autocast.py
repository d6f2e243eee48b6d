"""Arithmetic that chooses its own precision."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def without_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """Autocast off on the device of ``x``; the meta device, on which shapes alone are computed, knows none."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)
