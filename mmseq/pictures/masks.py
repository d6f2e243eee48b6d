"""Masks of instances as run lengths: what they take grows with their outlines, not with the image.

An image of 6000 x 4000 px with 100 instances takes 2.4 GB as booleans, and a megabyte or two as runs.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np


class Masks(Sequence[dict[str, Any]]):
    """N masks of an image of (H, W) pixels; as a sequence they are COCO's compressed run lengths.

    Upstream's metrics take them as they are, and ``np.asarray`` gives (N, H, W) booleans.

    Args:
        edges: per mask the first pixel of each run and the one behind its last, ascending, counted down the columns.
        size: height and width of the image.
    """

    def __init__(self, edges: Iterable[np.ndarray], size: tuple[int, int]) -> None:
        self.edges, self.size = list(edges), size

    @classmethod
    def of(cls, masks: Iterable[np.ndarray], size: tuple[int, int]) -> 'Masks':
        """From (H, W) booleans, one after another."""
        return cls((edges_of(mask, 0, 0, size[0]) for mask in masks), size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, H, W)."""
        return len(self.edges), *self.size

    @property
    def areas(self) -> np.ndarray:
        """(N,) pixels."""
        return np.array([int((edges[1::2] - edges[::2]).sum()) for edges in self.edges], int)

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) float32: left, top, right, bottom in pixels; zeros of a mask without any."""
        crops = (self.crop(place) for place in range(len(self)))
        corners = [(x, y, x + crop.shape[1], y + crop.shape[0]) for x, y, crop in crops]
        return np.array(corners, np.float32).reshape(-1, 4)

    def __len__(self) -> int:
        return len(self.edges)

    @overload
    def __getitem__(self, which: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, which: slice) -> 'Masks': ...
    def __getitem__(self, which: int | slice) -> 'dict[str, Any] | Masks':
        """One as COCO's files hold it, ``size`` and ``counts``; several as masks."""
        if isinstance(which, slice):
            return Masks(self.edges[which], self.size)
        # Loaded here: pictures alone do without it.
        from pycocotools import mask as coco_mask

        height, width = self.size
        counts = np.diff(self.edges[which], prepend=0, append=height * width)
        # COCO ends with the last run, and begins with one of no pixels where the first pixel belongs to the mask.
        counts = counts if counts[-1] or len(counts) == 1 else counts[:-1]
        coded = coco_mask.frPyObjects(dict(counts=counts.tolist(), size=[height, width]), height, width)
        return dict(size=[height, width], counts=coded['counts'].decode())

    def take(self, which: np.ndarray) -> 'Masks':
        """Those at the given places, or where the given booleans are true."""
        return Masks((self.edges[place] for place in np.arange(len(self))[which]), self.size)

    def crop(self, place: int) -> tuple[int, int, np.ndarray]:
        """The part of the image that a mask covers: left, top and (h, w) booleans, none of them of an empty one."""
        edges, height = self.edges[place], self.size[0]
        if not len(edges):
            return 0, 0, np.zeros((0, 0), bool)
        left, right = int(edges[0]) // height, (int(edges[-1]) - 1) // height + 1
        # Up at each run's first pixel, down behind its last.
        steps = np.zeros((right - left) * height + 1, np.int8)
        steps[edges[::2] - left * height], steps[edges[1::2] - left * height] = 1, -1
        columns = np.cumsum(steps[:-1], dtype=np.int8).astype(bool).reshape(right - left, height)
        rows = np.flatnonzero(columns.any(0))
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        return left, top, np.ascontiguousarray(columns[:, top:bottom].T)

    def moved(self, left: int, top: int, size: tuple[int, int]) -> 'Masks':
        """The masks of a tile in the image that it was cut from.

        Args:
            left: of the tile in the image.
            top: see left.
            size: height and width of the image.
        """
        crops = (self.crop(place) for place in range(len(self)))
        return Masks((edges_of(crop, left + x, top + y, size[0]) for x, y, crop in crops), size)

    def dense(self) -> Iterator[np.ndarray]:
        """(H, W) booleans, one after another."""
        for place in range(len(self)):
            left, top, crop = self.crop(place)
            mask = np.zeros(self.size, bool)
            mask[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
            yield mask

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        masks = np.zeros(self.shape, bool)
        for whole, mask in zip(masks, self.dense()):
            whole[:] = mask
        return masks if dtype is None else masks.astype(dtype)


def edges_of(crop: np.ndarray, left: int, top: int, height: int) -> np.ndarray:
    """The runs, as in :class:`Masks`, of (h, w) booleans that begin at (left, top) of an image of so many rows."""
    rows, columns = crop.shape
    # A blank row below, so that each run ends in its column.
    padded = np.zeros((columns, rows + 1), np.int8)
    padded[:, :rows] = crop.T
    across, down = np.divmod(np.flatnonzero(np.diff(padded.ravel(), prepend=0)), rows + 1)
    edges = (left + across) * height + top + down
    # A run that ends with its column goes on at the head of the next.
    joined = np.flatnonzero(edges[1:-1:2] == edges[2::2]) * 2 + 1
    return np.delete(edges, np.concatenate([joined, joined + 1]))


def union(masks: Masks) -> np.ndarray:
    """The runs of all pixels that belong to one of the masks."""
    crops = [masks.crop(place) for place in range(len(masks)) if len(masks.edges[place])]
    if not crops:
        return np.zeros(0, int)
    left, top = min(x for x, _, _ in crops), min(y for _, y, _ in crops)
    right = max(x + crop.shape[1] for x, _, crop in crops)
    bottom = max(y + crop.shape[0] for _, y, crop in crops)
    whole = np.zeros((bottom - top, right - left), bool)
    for x, y, crop in crops:
        whole[y - top : y - top + crop.shape[0], x - left : x - left + crop.shape[1]] |= crop
    return edges_of(whole, left, top, masks.size[0])
