"""Names and colours of a model's classes, those of its data set or, where it has none, ones of our own."""

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

# Of a turn: hues one after another stay far apart, however many there are.
GOLDEN = 0.618034


def class_colours(model: nn.Module) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the classes and (classes, 3) bytes, red first, of a model with ``dataset_meta``."""
    meta = getattr(model, 'dataset_meta', None) or {}
    names = meta.get('classes') or [f'class {i}' for i in range(head_classes(model))]
    return tuple(map(str, names)), palette(meta.get('palette'), len(names))


def head_classes(model: nn.Module) -> int:
    """The most classes that one of the model's heads tells apart."""
    heads = [part for name, part in model.named_children() if name != 'backbone']
    counts = [getattr(module, 'num_classes', 0) for head in heads for module in head.modules()]
    return max((count for count in counts if isinstance(count, int)), default=1)


def palette(given: Sequence[Sequence[int]] | Any, count: int) -> np.ndarray:
    """(count, 3) bytes: the given colours as far as they are, then ones of our own."""
    # Upstream's data sets also have words here, as 'random'.
    given = [tuple(colour) for colour in given] if isinstance(given, (list, tuple)) else []
    return np.array([*given[:count], *(own_colour(i) for i in range(len(given), count))], np.uint8).reshape(-1, 3)


def own_colour(number: int) -> tuple[int, int, int]:
    """A colour that is far from those of the numbers beside it."""
    saturation, value = ((0.75, 0.95), (0.55, 0.9), (0.85, 0.7))[number % 3]
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(number * GOLDEN % 1, saturation, value))
    return red, green, blue
