"""Boxes of a COCO file: four numbers [left, top, width, height] in pixels, within their image."""

from collections.abc import Iterable

import numpy as np

from mmseq.datasets.checks.coco_annotations import Annotations, Rows
from mmseq.datasets.checks.findings import Report

# A few bad boxes are usual (the loader drops them); more of them mean that the file holds another kind of box.
TOLERATED_BOXES = 0.01
# Above this share of them reaching out of their images, boxes that fit as two corners are two corners.
MOSTLY = 0.5


def check_boxes(report: Report, images: Rows, annotations: Annotations) -> bool:
    """Check all boxes; whether each is four numbers, so that more can be asked of them."""
    if not numeric(report, annotations):
        return False
    side = annotations.sides(images)
    known = np.flatnonzero(~np.isnan(side[:, 0]))
    box, side = annotations.boxes[known], side[known]
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
            at = int(np.argmax(mask))
            first = annotations.id_at(known[at])
            (report.error if count > limit else report.warning)(
                kind,
                f'{report.where}: {count} of {len(known)} boxes {what}, first {numbers(box[at])} of annotation '
                f'{first!r} in an image of {side[at, 0]:g} x {side[at, 1]:g} (width x height); give [left, top, width, '
                'height]',
                str(first),
                count,
            )
    return True


def numbers(values: Iterable[float]) -> str:
    """Numbers without superfluous digits."""
    return '[' + ', '.join(f'{value:g}' for value in values) + ']'


def numeric(report: Report, annotations: Annotations) -> bool:
    """Whether every box is four numbers; reports those that are not."""
    wrong = annotations.boxes_as_read
    if not wrong:
        return True
    place, box = next(iter(wrong.items()))
    first = annotations.id_at(place)
    report.error(
        'malformed_boxes',
        f'{report.where}: annotation {first!r} has bbox {box!r:.80}; give [left, top, width, height]',
        str(first),
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
