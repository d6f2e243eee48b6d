"""Boxes of a COCO file: four numbers [left, top, width, height] in pixels, within their image."""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from mmseq.datasets.checks.coco_file import NUMBERS, Rows
from mmseq.datasets.checks.findings import Report

# A few bad boxes are usual (the loader drops them); more of them mean that the file holds another kind of box.
TOLERATED_BOXES = 0.01
# Above this share of them reaching out of their images, boxes that fit as two corners are two corners.
MOSTLY = 0.5


def check_boxes(report: Report, images: Rows, annotations: Rows) -> bool:
    """Check all boxes; whether each is four numbers, so that more can be asked of them."""
    if not numeric(report, annotations):
        return False
    sizes = {row['id']: (row['width'], row['height']) for row in images}
    known = [ann for ann in annotations if ann['image_id'] in sizes]
    box = table((ann['bbox'] for ann in known), 4)
    side = table((sizes[ann['image_id']] for ann in known), 2)
    if other_kind(report, box, side):
        return True
    finite = np.isfinite(box).all(1)
    empty, outside, over = faults(box, side, finite)
    share = TOLERATED_BOXES * len(known)
    for kind, mask, what, limit in (
        ('not_finite_boxes', ~finite, 'are not finite', 0),
        ('outside_boxes', outside, 'lie wholly outside their image', share),
        ('empty_boxes', empty, 'have no area', share),
        ('protruding_boxes', over, 'reach more than a pixel out of their image', np.inf),
    ):
        count = int(mask.sum())
        if count:
            first = known[int(np.argmax(mask))]
            width, height = sizes[first['image_id']]
            (report.error if count > limit else report.warning)(
                kind,
                f'{report.where}: {count} of {len(known)} boxes {what}, first {first["bbox"]} of annotation '
                f'{first["id"]!r} in an image of {width} x {height} (width x height); give [left, top, width, height]',
                str(first['id']),
                count,
            )
    return True


def numeric(report: Report, annotations: Rows) -> bool:
    """Whether every box is four numbers; reports those that are not."""
    boxes = [ann['bbox'] for ann in annotations]
    if set(map(len, boxes)) == {4} and set(map(type, chain.from_iterable(boxes))) <= set(NUMBERS):
        return True
    wrong = [ann for ann in annotations if len(ann['bbox']) != 4 or not {*map(type, ann['bbox'])} <= set(NUMBERS)]
    report.error(
        'malformed_boxes',
        f'{report.where}: annotation {wrong[0]["id"]!r} has bbox {wrong[0]["bbox"]!r:.80}; give [left, top, width, '
        'height]',
        str(wrong[0]['id']),
        len(wrong),
    )
    return False


def faults(box: np.ndarray, side: np.ndarray, finite: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which boxes (N, 4) are empty, wholly outside, or partly outside their images (N, 2), width first."""
    start, extent = box[:, :2], box[:, 2:]
    with np.errstate(invalid='ignore', over='ignore'):
        empty = finite & (extent <= 0).any(1)
        inner = np.minimum(start + extent, side) - np.maximum(start, 0)
        outside = finite & ~empty & (inner <= 0).any(1)
        # Rounding leaves many boxes a pixel too large.
        over = finite & ~empty & ~outside & ((start < -1) | (start + extent > side + 1)).any(1)
    return empty, outside, over


def other_kind(report: Report, box: np.ndarray, side: np.ndarray) -> bool:
    """Report boxes that are fractions of their image, or two corners."""
    if not len(box) or not np.isfinite(box).all():
        return False
    if box.max() <= 1:
        what, advice = 'lie between 0 and 1, as fractions of the image', 'multiply them by its width and height'
    elif two_corners(box, side):
        what = 'are two corners [left, top, right, bottom]: as [left, top, width, height] most leave their image'
        advice = 'write right - left and bottom - top'
    else:
        return False
    report.error(
        'other_boxes',
        f'{report.where}: its {len(box)} boxes {what}, first {box[0].tolist()}; {advice}',
        count=len(box),
    )
    return True


def two_corners(box: np.ndarray, side: np.ndarray) -> bool:
    """Whether boxes (N, 4) fit their images (N, 2) as two corners, and mostly not as corner and size."""
    corners = (box[:, 2:] > box[:, :2]).all() and (box[:, 2:] <= side + 1).all() and (box[:, :2] >= -1).all()
    beyond = (box[:, :2] + box[:, 2:] > side + 1).any(1)
    return bool(corners) and beyond.mean() > MOSTLY


def table(rows: Iterable[Sequence[float]], columns: int) -> np.ndarray:
    """Rows of numbers as an array (rows, columns); numpy takes seconds for a million small lists."""
    return np.fromiter(chain.from_iterable(rows), np.float64).reshape(-1, columns)
