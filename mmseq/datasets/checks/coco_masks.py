"""Segmentations of a COCO file: polygons and run lengths that fit their images and their boxes.

Upstream reads them one by one, while it trains: run lengths of swapped sides give scrambled masks, those of another
size and texts end a run in its middle, a coordinate of 1e7 takes 800 MB, and one that is no number ends the process.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmseq.datasets.checks import rle
from mmseq.datasets.checks.coco_boxes import table
from mmseq.datasets.checks.coco_file import NUMBERS, Rows
from mmseq.datasets.checks.coco_pieces import SHORTEST, Reach, reaches
from mmseq.datasets.checks.findings import Report

COORDINATES = frozenset(NUMBERS)
# A mask and its box overlap by less: they are of different things. Some tools draw boxes generously.
OVERLAP = 0.5
TOLERATED, MOSTLY = 0.01, 0.5
FORM = 'write polygons [[x1, y1, x2, y2, x3, y3, ...], ...] in pixels, or RLE with size and counts'


def check_masks(report: Report, images: Rows, annotations: Rows, trained: bool) -> None:
    """Check all segmentations; those of wrong form are not looked into.

    Args:
        report: gets what is found.
        images: all of the file.
        annotations: with boxes of four numbers.
        trained: the loader filters polygons that are too short; evaluation does not.
    """
    sizes = {row['id']: (row['width'], row['height']) for row in images}
    known = [ann for ann in annotations if ann['image_id'] in sizes]
    missing(report, known)
    known = [ann for ann in known if ann.get('segmentation')]
    wrong = [(ann, said) for ann in known if (said := wrong_form(ann['segmentation']))]
    if wrong:
        first, said = wrong[0]
        name(report, 'malformed_masks', first, len(wrong), len(known), f'is {said}', FORM)
        return
    polygons = [ann for ann in known if isinstance(ann['segmentation'], (list, Reach))]
    check_short(report, polygons, trained)
    polygons = [ann for ann in polygons if isinstance(ann['segmentation'], Reach) or usable(ann)]
    runs = [ann for ann in known if isinstance(ann['segmentation'], dict)]
    found = [check_polygons(report, polygons, sizes), check_runs(report, runs, sizes)]
    compared = [rows for rows, extents in zip((polygons, runs), found) if extents is not None]
    if compared:
        extents = np.concatenate([item for item in found if item is not None])
        compare_with_boxes(report, list(chain.from_iterable(compared)), extents)


def missing(report: Report, annotations: Rows) -> None:
    """Every annotation has a segmentation."""
    bare = [ann for ann in annotations if not ann.get('segmentation')]
    if bare:
        report.error(
            'no_mask',
            f'{report.where}: {len(bare)} of {len(annotations)} annotations have no segmentation, first annotation '
            f'{bare[0]["id"]!r}, but the config uses masks; add them, or use a config without masks',
            str(bare[0]['id']),
            len(bare),
        )


def wrong_form(found: Any) -> str | None:
    """What a segmentation is instead of polygons or run lengths; None if it is one of them."""
    if isinstance(found, Reach):
        return None
    if isinstance(found, dict):
        size, counts = found.get('size'), found.get('counts')
        if not (isinstance(size, list) and len(size) == 2 and {*map(type, size)} <= {int}):
            return f'RLE with size {size!r:.40}'
        whole = isinstance(counts, list) and counts and {*map(type, counts)} <= {int}
        return None if whole or (isinstance(counts, str) and counts) else f'RLE with counts {counts!r:.40}'
    if not isinstance(found, list):
        return f'{type(found).__name__} {found!r:.40}'
    kinds = set(map(type, found))
    if kinds == {list}:
        return wrong_polygons(found)
    return 'a flat list, not a list of polygons' if kinds <= set(NUMBERS) else f'a list of {found[0]!r:.40}'


def wrong_polygons(found: list[list[Any]]) -> str | None:
    """What lists are instead of polygons; None if they are some."""
    for polygon in found:
        kinds = set(map(type, polygon))
        if not kinds <= COORDINATES:
            other = next(value for value in polygon if type(value) not in NUMBERS)
            return 'pairs of coordinates' if kinds == {list} else f'a polygon that holds {other!r:.40}'
    return None


def usable(ann: dict[str, Any]) -> list[list[float]]:
    """The polygons of three points and more, as the loader chooses them."""
    return [polygon for polygon in ann['segmentation'] if len(polygon) >= SHORTEST and len(polygon) % 2 == 0]


def check_short(report: Report, annotations: Rows, trained: bool) -> None:
    """Polygons have three points: without one an object is not trained, and one that has less ends an evaluation."""
    lists = [ann for ann in annotations if isinstance(ann['segmentation'], list)]
    short = [ann for ann in lists if len(usable(ann)) < (1 if trained else len(ann['segmentation']))]
    if short:
        first = short[0]
        length = next(len(item) for item in first['segmentation'] if len(item) < SHORTEST or len(item) % 2)
        (report.warning if trained and len(short) <= TOLERATED * len(annotations) else report.error)(
            'short_polygons',
            f'{report.where}: {len(short)} of {len(annotations)} segmentations have no area: annotation '
            f'{first["id"]!r} has a polygon of {length} numbers; give x and y of three points or more',
            str(first['id']),
            len(short),
        )


def name(report: Report, kind: str, first: dict[str, Any], count: int, total: int, what: str, advice: str) -> None:
    """Report an error, with the first annotation that has it."""
    report.error(
        kind,
        f'{report.where}: {count} of {total} segmentations cannot be used: that of annotation {first["id"]!r} {what}; '
        f'{advice}',
        str(first['id']),
        count,
    )


def extents(annotations: Rows) -> np.ndarray:
    """(N, 4) corners around polygons; not finite where a coordinate is not."""
    lists = [usable(ann) for ann in annotations if isinstance(ann['segmentation'], list)]
    found = iter(reaches(lists))
    masks = (ann['segmentation'] for ann in annotations)
    return table((mask if isinstance(mask, Reach) else next(found) for mask in masks), 4)


def check_polygons(report: Report, annotations: Rows, sizes: dict[str, Any]) -> np.ndarray | None:
    """The extents (N, 4) of polygons, corners; None if there are none or not all lie near their image, as reported."""
    if not annotations:
        return None
    extent = extents(annotations)
    low, high = extent[:, :2], extent[:, 2:]
    side = table((sizes[ann['image_id']] for ann in annotations), 2)
    finite = np.isfinite(extent).all(1)
    # As far again as the image is large: drawn on another image, and memory goes with the distance.
    far = finite & ((low < -side) | (high > 2 * side)).any(1)
    for kind, mask, what in (
        ('not_finite_masks', ~finite, 'has a coordinate that is not finite'),
        ('far_masks', far, 'reaches far out of its image'),
    ):
        if mask.any():
            i = int(np.argmax(mask))
            said = f'{what}, {span(low[i], high[i], side[i])}'
            name(report, kind, annotations[i], int(mask.sum()), len(annotations), said, 'write pixels of the image')
    return extent if finite.all() and not far.any() else None


def span(low: np.ndarray, high: np.ndarray, side: np.ndarray) -> str:
    """From where to where points go, and how large the image is."""
    return f'x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g} in an image of {side[0]:g} x {side[1]:g}'


def check_runs(report: Report, annotations: Rows, sizes: dict[str, Any]) -> np.ndarray | None:
    """The extents (N, 4) of run lengths; None if there are none or not all cover their image, as reported."""
    if not annotations:
        return None
    size = table((ann['segmentation']['size'] for ann in annotations), 2)
    side = table((sizes[ann['image_id']] for ann in annotations), 2)[:, ::-1]
    other = (size != side).any(1)
    if other.any():
        i = int(np.argmax(other))
        turned = (size[i] == side[i, ::-1]).all()
        advice = 'write height first, then width' if turned else 'write the masks at the size of the image'
        said = f'is {size[i, 0]:g} x {size[i, 1]:g}, its image {side[i, 0]:g} x {side[i, 1]:g} (height x width)'
        name(report, 'mask_size', annotations[i], int(other.sum()), len(annotations), said, advice)
        return None
    torn = pixels(annotations) != size.prod(1)
    if torn.any():
        said = 'has counts that do not add up to its size'
        first = annotations[int(np.argmax(torn))]
        name(report, 'mask_counts', first, int(torn.sum()), len(annotations), said, 'write it anew')
    return None if torn.any() else run_extents(annotations)


def pixels(annotations: Rows) -> np.ndarray:
    """How many pixels the run lengths of each annotation cover in all; -1 where they are none."""
    found = np.empty(len(annotations), np.int64)
    counts = [ann['segmentation']['counts'] for ann in annotations]
    packed = [i for i, item in enumerate(counts) if isinstance(item, str)]
    if packed:
        found[packed] = rle.totals([counts[i] for i in packed])
    for i, item in enumerate(counts):
        if not isinstance(item, str):
            found[i] = sum(item) if min(item) >= 0 else -1
    return found


def run_extents(annotations: Rows) -> np.ndarray:
    """(N, 4) left, top, right, bottom of the pixels of run lengths."""
    boxes = np.asarray(coco_mask.toBbox([compressed(ann['segmentation']) for ann in annotations]), np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)


def compressed(found: dict[str, Any]) -> dict[str, Any]:
    """Run lengths as pycocotools reads them."""
    return coco_mask.frPyObjects(found, *found['size']) if isinstance(found['counts'], list) else found


def compare_with_boxes(report: Report, annotations: Rows, extent: np.ndarray) -> None:
    """Masks lie where their boxes are, extents (N, 4) given."""
    box = table((ann['bbox'] for ann in annotations), 4)
    apart = overlaps(extent, np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1)) < OVERLAP
    count = int(apart.sum())
    if count <= TOLERATED * len(annotations):
        return
    i = int(np.argmax(apart))
    (report.error if count > MOSTLY * len(annotations) else report.warning)(
        'mask_beside_box',
        f'{report.where}: {count} of {len(annotations)} masks lie elsewhere than their boxes, first '
        f'{numbers(extent[i, :2])} to {numbers(extent[i, 2:])} for bbox {numbers(box[i])} of annotation '
        f'{annotations[i]["id"]!r}; write both in pixels of the image',
        str(annotations[i]['id']),
        count,
    )


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N,) intersections over unions of corners (N, 4), a pixel added to all sides: thin ones have no area."""
    with np.errstate(invalid='ignore'):
        inner = np.clip(np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2]) + 2, 0, None)
        areas = [np.clip(corners[:, 2:] - corners[:, :2] + 2, 0, None).prod(1) for corners in (one, other)]
        both = inner.prod(1)
        return both / np.maximum(areas[0] + areas[1] - both, 1)


def numbers(values: Iterable[float]) -> str:
    """Numbers without superfluous digits."""
    return '[' + ', '.join(f'{value:g}' for value in values) + ']'
