"""Segmentations of a COCO file: polygons and run lengths that fit their images and their boxes.

Upstream reads them one by one, while it trains: run lengths of swapped sides give scrambled masks, those of another
size and texts end a run in its middle, a coordinate of 1e7 takes 800 MB, and one that is no number ends the process.
"""

from itertools import chain
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmseq.datasets.checks import rle
from mmseq.datasets.checks.coco_annotations import (
    LIST,
    NO_MASK,
    NUMBERS,
    POLYGONS,
    RUNS,
    SHORTEST,
    Annotations,
    Rows,
    reaches,
    table,
)
from mmseq.datasets.checks.coco_boxes import numbers
from mmseq.datasets.checks.findings import Report

COORDINATES = frozenset(NUMBERS)
# A mask and its box overlap by less: they are of different things. Some tools draw boxes generously.
OVERLAP = 0.5
TOLERATED, MOSTLY = 0.01, 0.5
FORM = 'write polygons [[x1, y1, x2, y2, x3, y3, ...], ...] in pixels, or RLE with size and counts'


def check_masks(report: Report, images: Rows, annotations: Annotations, trained: bool) -> None:
    """Check all segmentations; those of wrong form are not looked into.

    Args:
        report: gets what is found.
        images: all of the file.
        annotations: with boxes of four numbers.
        trained: the loader filters polygons that are too short; evaluation does not.
    """
    side = annotations.sides(images)
    placed = ~np.isnan(side[:, 0])
    annotations, side = annotations.at(placed), side[placed]
    missing(report, annotations)
    as_read, forms = annotations.masks_as_read, annotations.forms
    total = int((forms != NO_MASK).sum())
    wrong = [(place, said) for place, mask in as_read.items() if (said := wrong_form(mask))]
    if wrong:
        place, said = wrong[0]
        name(report, 'malformed_masks', annotations.id_at(place), len(wrong), total, f'is {said}', FORM)
        return
    check_short(report, annotations, trained)
    lists = [place for place, mask in as_read.items() if forms[place] == LIST and usable(mask)]
    extent = annotations.reach.copy()
    extent[lists] = extents([usable(as_read[place]) for place in lists])
    polygons = np.union1d(np.flatnonzero(forms == POLYGONS), lists).astype(int)
    runs = np.flatnonzero(forms == RUNS)
    compared = []
    if check_polygons(report, annotations, polygons, extent, side):
        compared.append(polygons)
    if check_runs(report, annotations, runs, side):
        extent[runs] = run_extents([as_read[place] for place in runs.tolist()])
        compared.append(runs)
    if compared:
        compare_with_boxes(report, annotations, np.concatenate(compared), extent)


def missing(report: Report, annotations: Annotations) -> None:
    """Every annotation has a segmentation."""
    bare = np.flatnonzero(annotations.forms == NO_MASK)
    if bare.size:
        first = annotations.id_at(bare[0])
        report.error(
            'no_mask',
            f'{report.where}: {len(bare)} of {len(annotations)} annotations have no segmentation, first annotation '
            f'{first!r}, but the config uses masks; add them, or use a config without masks',
            str(first),
            len(bare),
        )


def wrong_form(found: Any) -> str | None:
    """What a segmentation is instead of polygons or run lengths; None if it is one of them."""
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


def usable(mask: list[list[float]]) -> list[list[float]]:
    """The polygons of three points and more, as the loader chooses them."""
    return [polygon for polygon in mask if len(polygon) >= SHORTEST and len(polygon) % 2 == 0]


def check_short(report: Report, annotations: Annotations, trained: bool) -> None:
    """Polygons have three points: without one an object is not trained, and one that has less ends an evaluation."""
    lists = {place: mask for place, mask in annotations.masks_as_read.items() if isinstance(mask, list)}
    short = [place for place, mask in lists.items() if len(usable(mask)) < (1 if trained else len(mask))]
    if short:
        total = len(lists) + int((annotations.forms == POLYGONS).sum())
        first = annotations.id_at(short[0])
        length = next(len(item) for item in lists[short[0]] if len(item) < SHORTEST or len(item) % 2)
        (report.warning if trained and len(short) <= TOLERATED * total else report.error)(
            'short_polygons',
            f'{report.where}: {len(short)} of {total} segmentations have no area: annotation '
            f'{first!r} has a polygon of {length} numbers; give x and y of three points or more',
            str(first),
            len(short),
        )


def name(report: Report, kind: str, first: Any, count: int, total: int, what: str, advice: str) -> None:
    """Report an error, with the id of the first annotation that has it."""
    report.error(
        kind,
        f'{report.where}: {count} of {total} segmentations cannot be used: that of annotation {first!r} {what}; '
        f'{advice}',
        str(first),
        count,
    )


def extents(masks: list[list[list[float]]]) -> np.ndarray:
    """(N, 4) corners around polygons; not finite where a coordinate is not."""
    points = [list(chain.from_iterable(mask)) for mask in masks]
    ends = np.cumsum([len(numbers) for numbers in points], dtype=np.int64)
    return reaches(np.fromiter(chain.from_iterable(points), np.float64), ends)


def check_polygons(
    report: Report, annotations: Annotations, places: np.ndarray, extent: np.ndarray, side: np.ndarray
) -> bool:
    """Whether there are polygons, all near their images; reports those that are not.

    Args:
        report: gets what is found.
        annotations: N.
        places: of those with polygons.
        extent: (N, 4) corners around them.
        side: (N, 2) width and height of their images.
    """
    extent, side = extent[places], side[places]
    low, high = extent[:, :2], extent[:, 2:]
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
            first = annotations.id_at(places[i])
            name(report, kind, first, int(mask.sum()), len(places), said, 'write pixels of the image')
    return bool(len(places) and finite.all() and not far.any())


def span(low: np.ndarray, high: np.ndarray, side: np.ndarray) -> str:
    """From where to where points go, and how large the image is."""
    return f'x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g} in an image of {side[0]:g} x {side[1]:g}'


def check_runs(report: Report, annotations: Annotations, places: np.ndarray, side: np.ndarray) -> bool:
    """Whether there are run lengths, all of which cover their image; reports those that do not."""
    if not len(places):
        return False
    masks = [annotations.masks_as_read[place] for place in places.tolist()]
    size, side = table((mask['size'] for mask in masks), 2), side[places, ::-1]
    other = (size != side).any(1)
    if other.any():
        i = int(np.argmax(other))
        turned = (size[i] == side[i, ::-1]).all()
        advice = 'write height first, then width' if turned else 'write the masks at the size of the image'
        said = f'is {size[i, 0]:g} x {size[i, 1]:g}, its image {side[i, 0]:g} x {side[i, 1]:g} (height x width)'
        name(report, 'mask_size', annotations.id_at(places[i]), int(other.sum()), len(places), said, advice)
        return False
    torn = pixels([mask['counts'] for mask in masks]) != size.prod(1)
    if torn.any():
        first = annotations.id_at(places[int(np.argmax(torn))])
        said = 'has counts that do not add up to its size'
        name(report, 'mask_counts', first, int(torn.sum()), len(places), said, 'write it anew')
    return not torn.any()


def pixels(counts: list[Any]) -> np.ndarray:
    """(N,) pixels that run lengths cover in all; -1 where they are none."""
    found = np.empty(len(counts), np.int64)
    packed = [i for i, item in enumerate(counts) if isinstance(item, str)]
    if packed:
        found[packed] = rle.totals([counts[i] for i in packed])
    for i, item in enumerate(counts):
        if not isinstance(item, str):
            found[i] = sum(item) if min(item) >= 0 else -1
    return found


def run_extents(masks: list[dict[str, Any]]) -> np.ndarray:
    """(N, 4) left, top, right, bottom of the pixels of run lengths."""
    boxes = np.asarray(coco_mask.toBbox([compressed(mask) for mask in masks]), np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)


def compressed(found: dict[str, Any]) -> dict[str, Any]:
    """Run lengths as pycocotools reads them."""
    return coco_mask.frPyObjects(found, *found['size']) if isinstance(found['counts'], list) else found


def compare_with_boxes(report: Report, annotations: Annotations, places: np.ndarray, extent: np.ndarray) -> None:
    """Masks lie where their boxes are, extents (N, 4) of all annotations given, of which those at some places count."""
    box, extent = annotations.boxes[places], extent[places]
    apart = overlaps(extent, np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1)) < OVERLAP
    count = int(apart.sum())
    if count <= TOLERATED * len(places):
        return
    i = int(np.argmax(apart))
    first = annotations.id_at(places[i])
    (report.error if count > MOSTLY * len(places) else report.warning)(
        'mask_beside_box',
        f'{report.where}: {count} of {len(places)} masks lie elsewhere than their boxes, first '
        f'{numbers(extent[i, :2])} to {numbers(extent[i, 2:])} for bbox {numbers(box[i])} of annotation '
        f'{first!r}; write both in pixels of the image',
        str(first),
        count,
    )


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N,) intersections over unions of corners (N, 4), a pixel added to all sides: thin ones have no area."""
    with np.errstate(invalid='ignore'):
        inner = np.clip(np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2]) + 2, 0, None)
        areas = [np.clip(corners[:, 2:] - corners[:, :2] + 2, 0, None).prod(1) for corners in (one, other)]
        both = inner.prod(1)
        return both / np.maximum(areas[0] + areas[1] - both, 1)
