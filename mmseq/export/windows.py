"""Attention in windows as torch.export can record it for maps of any size.

timm cuts a map into windows and asks for them in one piece, ``contiguous()``. Where an axis has one window there may be
nothing to copy, so torch records the case of several, and the file fails for images below 7 x 32 = 224 px. A copy that
is always made has no such case.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

MODULES = ('timm.models.swin_transformer', 'timm.models.swin_transformer_v2')


@contextmanager
def recordable_windows() -> Iterator[None]:
    """Let timm's Swins cut maps so that any size is recorded, as far as timm is loaded."""
    forms = dict(window_partition=partition, window_reverse=reverse)
    loaded = [sys.modules[name] for name in MODULES if name in sys.modules]
    originals = [(module, name, getattr(module, name)) for module in loaded for name in forms]
    try:
        for module, name, _ in originals:
            setattr(module, name, forms[name])
        yield
    finally:
        for module, name, original in originals:
            setattr(module, name, original)


def partition(x: Tensor, window_size: tuple[int, int]) -> Tensor:
    """(B, H, W, C) to (B H/h W/w, h, w, C)."""
    batch, height, width, channels = x.shape
    h, w = window_size
    cut = x.reshape(batch, height // h, h, width // w, w, channels).permute(0, 1, 3, 2, 4, 5)
    return cut.clone(memory_format=torch.contiguous_format).view(-1, h, w, channels)


def reverse(windows: Tensor, window_size: tuple[int, int], *size: Any) -> Tensor:
    """The map of (H, W), which is given as two numbers or as a pair, from its windows."""
    height, width = size if len(size) == 2 else size[0]
    h, w = window_size
    channels = windows.shape[-1]
    cut = windows.view(-1, height // h, width // w, h, w, channels).permute(0, 1, 3, 2, 4, 5)
    return cut.clone(memory_format=torch.contiguous_format).view(-1, height, width, channels)
