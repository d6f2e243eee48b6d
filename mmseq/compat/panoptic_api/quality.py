"""Panoptic quality (arXiv 1801.00868, section 4) and the colours in which segments are stored, named as mmdet asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# Segment id of pixels that belong to no segment, and one more than the largest id that three bytes can hold.
VOID = 0
OFFSET = 256**3


def rgb2id(color: np.ndarray) -> np.ndarray:
    """Segment ids (...) int32 of colours (..., 3): red + 256 green + 256^2 blue."""
    return np.asarray(color, dtype=np.int32) @ np.array([1, 256, 256**2], dtype=np.int32)


def id2rgb(id_map: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 of segment ids (...)."""
    return (np.asarray(id_map)[..., None] // np.array([1, 256, 256**2]) % 256).astype(np.uint8)


@dataclass
class CategoryCounts:
    """Matched segments (IoU above 0.5) of one category and their summed IoU, predicted ones and true ones left over."""

    iou: float = 0.0
    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __iadd__(self, other: CategoryCounts) -> CategoryCounts:
        self.iou += other.iou
        self.tp += other.tp
        self.fp += other.fp
        self.fn += other.fn
        return self

    def qualities(self) -> dict[str, float]:
        """Panoptic, segmentation and recognition quality; zeros for a category that nobody has seen."""
        weight = self.tp + 0.5 * self.fp + 0.5 * self.fn
        if not weight:
            return {'pq': 0.0, 'sq': 0.0, 'rq': 0.0}
        return {'pq': self.iou / weight, 'sq': self.iou / self.tp if self.tp else 0.0, 'rq': self.tp / weight}


class PQStat:
    """Counts per category id; can be added up over images and processes."""

    def __init__(self) -> None:
        self.pq_per_cat: defaultdict[int, CategoryCounts] = defaultdict(CategoryCounts)

    def __getitem__(self, category: int) -> CategoryCounts:
        return self.pq_per_cat[category]

    def __iter__(self) -> Iterator[tuple[int, CategoryCounts]]:
        return iter(self.pq_per_cat.items())

    def __iadd__(self, other: PQStat) -> PQStat:
        for category, counts in other:
            self.pq_per_cat[category] += counts
        return self

    def pq_average(
        self, categories: Mapping[int, Mapping[str, Any]], isthing: bool | None
    ) -> tuple[dict[str, float], dict[int, dict[str, float]]]:
        """Qualities averaged over categories, and those of each.

        Args:
            categories: COCO's entries by id, with `isthing`.
            isthing: True averages over things, False over stuff, None over both.

        Returns:
            `pq, sq, rq` and the number `n` of categories that were seen, over which the average goes; and `pq, sq, rq`
            of every category asked for, zeros where it was not seen.
        """
        wanted = [key for key, entry in categories.items() if isthing is None or bool(entry['isthing']) == isthing]
        each = {key: self[key].qualities() for key in wanted}
        seen = [key for key in wanted if self[key].tp + self[key].fp + self[key].fn]
        average = {name: sum(each[key][name] for key in seen) / max(len(seen), 1) for name in ('pq', 'sq', 'rq')}
        return {**average, 'n': len(seen)}, each
