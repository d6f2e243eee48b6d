"""How far predictions on an image agree with those on another view of it, both at the places of the image.

Agreement needs no truth. It is in percent: of a segmentor, of the pixels that both see; of a detector, twice the pairs
over the detections of both, where a pair is of one class and overlaps by half.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle

from mmseq.evaluation.boundaries import areas, ious
from mmseq.evaluation.places import BANDS, PLACES, count_pixels, count_points, shares
from mmseq.evaluation.probe import mean
from mmseq.evaluation.views import VIEWS

# Detections from this score on are what a user sees.
SHOWN = 0.3
OVERLAP = 0.5


def compare_labels(plain: Path, other: Path, view: str, images: int, classes: int) -> dict[str, Any]:
    """Compare the label maps of two folders, as :class:`mmseq.evaluation.of_labels.KeptLabels` writes them.

    Args:
        plain: folder of the images as they are.
        other: folder of a view.
        view: its name.
        images: how many maps each folder has.
        classes: their number.

    Returns:
        ``agreement``; ``mIoU`` of one with the other; agreement by place, with ``bands`` and ``grid``.
    """
    same, seen, counts = np.zeros(PLACES), np.zeros(PLACES), np.zeros((3, classes))
    for number in range(images):
        one, two = (np.asarray(Image.open(folder / f'{number}.png')) for folder in (plain, other))
        inside = VIEWS[view].seen(*one.shape)
        seen += count_pixels(inside)
        same += count_pixels(inside & (one == two))
        counts += areas(two[inside].astype(np.int64), one[inside].astype(np.int64), classes)
    # Every pixel is in one band.
    agreement = 100 * same[: len(BANDS)].sum() / seen[: len(BANDS)].sum()
    return dict(agreement=float(agreement), mIoU=mean(100 * ious(counts)), place=shares(100 * same, seen))


def compare_instances(plain: Path, other: Path, least: float = SHOWN) -> dict[str, Any]:
    """Compare two files of detections, as :class:`mmseq.evaluation.of_instances.KeptInstances` writes them.

    Args:
        plain: file of the images as they are.
        other: file of a view.
        least: score from which detections count.

    Returns:
        ``agreement``; mean ``overlap`` and mean ``score_change`` of pairs, None without any; numbers of ``detections``
        of both; the percent of the first one's detections that have a partner by place, with ``bands`` and ``grid``.
    """
    one, two = (json.loads(path.read_text(encoding='utf-8')) for path in (plain, other))
    paired, total = np.zeros(PLACES), np.zeros(PLACES)
    overlaps: list[float] = []
    changes: list[float] = []
    numbers = [0, 0]
    for size, *both in zip(one['sizes'], one['detections'], two['detections']):
        shown = [[row for row in rows if row['score'] >= least] for rows in both]
        pairs = pair(*shown)
        numbers = [before + len(rows) for before, rows in zip(numbers, shown)]
        overlaps += [overlap for _, _, overlap in pairs]
        changes += [abs(shown[0][i]['score'] - shown[1][j]['score']) for i, j, _ in pairs]
        total += at_centres(shown[0], size)
        paired += at_centres([shown[0][i] for i, _, _ in pairs], size)
    return dict(
        agreement=200 * len(overlaps) / sum(numbers) if sum(numbers) else None,
        overlap=float(np.mean(overlaps)) if overlaps else None,
        score_change=float(np.mean(changes)) if changes else None,
        detections=numbers,
        place=shares(100 * paired, total),
    )


def pair(one: Sequence[dict[str, Any]], two: Sequence[dict[str, Any]]) -> list[tuple[int, int, float]]:
    """Detections of one image that belong together, and their overlap: the largest overlaps of a class first."""
    if not one or not two:
        return []
    key = 'segmentation' if 'segmentation' in one[0] and 'segmentation' in two[0] else 'bbox'
    overlaps = np.asarray(rle.iou([row[key] for row in one], [row[key] for row in two], [0] * len(two)))
    overlaps = np.where(np.equal.outer([row['label'] for row in one], [row['label'] for row in two]), overlaps, 0)
    pairs = []
    while (largest := overlaps.max()) >= OVERLAP:
        i, j = np.unravel_index(overlaps.argmax(), overlaps.shape)
        pairs.append((int(i), int(j), float(largest)))
        overlaps[i], overlaps[:, j] = 0, 0
    return pairs


def at_centres(rows: Sequence[dict[str, Any]], size: Sequence[int]) -> np.ndarray:
    """How many boxes have their centre at each place."""
    left, top, width, height = np.array([row['bbox'] for row in rows], dtype=float).reshape(-1, 4).T
    return count_points(top + height / 2, left + width / 2, *size)
