"""Places in an image: how far from its border, and in which cell of a grid."""

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

# Distances from the border of an image at which bands begin, in pixels of its file.
BANDS = (0, 4, 8, 16, 32, 64, 128)
# Rows and columns of the grid that is laid over every image.
GRID = 8
PLACES = len(BANDS) + GRID * GRID


def band_names() -> list[str]:
    """Of the bands, in words: ``0-4`` to ``128+``."""
    return [f'{low}-{high}' for low, high in pairwise(BANDS)] + [f'{BANDS[-1]}+']


def bands_of(rows: np.ndarray, columns: np.ndarray, height: Any, width: Any) -> np.ndarray:
    """The band of each point, by its distance from the nearest side; any shape.

    Args:
        rows: pixels from the top; the middle of a pixel is at .5.
        columns: pixels from the left.
        height: of the image, or of each point's.
        width: of the image, or of each point's.
    """
    distance = np.minimum(np.minimum(rows, height - rows), np.minimum(columns, width - columns))
    return np.maximum(np.searchsorted(BANDS, distance, side='right') - 1, 0)


def cells_of(rows: np.ndarray, columns: np.ndarray, height: Any, width: Any) -> np.ndarray:
    """The cell of each point, counted row by row; see :func:`bands_of`."""
    down, across = (
        np.clip((points * GRID / size).astype(np.int64), 0, GRID - 1)
        for points, size in ((rows, height), (columns, width))
    )
    return np.asarray(down * GRID + across)


@lru_cache(maxsize=64)
def pixel_places(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Band and cell of every pixel, both (height, width)."""
    rows, columns = np.broadcast_arrays(np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5)
    return bands_of(rows, columns, height, width), cells_of(rows, columns, height, width)


def count_pixels(chosen: np.ndarray) -> np.ndarray:
    """How many pixels of a (H, W) mask lie at each of ``PLACES``: bands, then cells."""
    band, cell = pixel_places(*chosen.shape)
    return np.concatenate(
        [np.bincount(band[chosen], minlength=len(BANDS)), np.bincount(cell[chosen], minlength=GRID * GRID)]
    )


def count_points(rows: np.ndarray, columns: np.ndarray, height: Any, width: Any) -> np.ndarray:
    """How many points lie at each of ``PLACES``; see :func:`bands_of`."""
    band, cell = bands_of(rows, columns, height, width), cells_of(rows, columns, height, width)
    return np.concatenate([np.bincount(band, minlength=len(BANDS)), np.bincount(cell, minlength=GRID * GRID)])


def shares(some: np.ndarray, total: np.ndarray) -> dict[str, list[float | None]]:
    """Shares by place: ``bands`` by distance from the border, and ``grid`` row by row; None where there is nothing.

    Args:
        some: (PLACES,) counts.
        total: (PLACES,) what they are a share of.
    """
    values = [float(one / whole) if whole else None for one, whole in zip(some, total)]
    return dict(bands=values[: len(BANDS)], grid=values[len(BANDS) :])
