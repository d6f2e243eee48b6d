"""What upstream's loader leaves out without a word, counted by reason; nothing left to learn from is an error."""

from collections import Counter
from typing import Any

import numpy as np

from mmseq.datasets.checks.coco_annotations import RUNS, Annotations, Rows
from mmseq.datasets.checks.findings import Report
from mmseq.datasets.checks.use import Use

# Crowds are meant to be left out, and images without objects often are: more of them than this are worth a line.
USUAL = 0.1
# So is more than this of all else.
FAULTY = 0.01
# COCO's evaluation ignores objects whose area is above, or below 0.
LARGEST = 1e10
ADVICE = {
    'in images below min_size': 'lower filter_cfg.min_size',
    'with ignore': 'set ignore to 0',
    'outside their image': 'correct bbox',
    'with an area of 0': 'write the area in square pixels',
    'with no possible area': 'write the area in square pixels',
    'narrower than a pixel': 'give bbox in pixels',
    'with RLE instead of polygons': 'set poly2mask=True in LoadAnnotations',
    'with iscrowd': 'set iscrowd to 0 for single objects',
}


def check_dropped(report: Report, images: Rows, annotations: Annotations, use: Use) -> None:
    """Count the annotations, of the classes of the config, and the images that are left out.

    Args:
        report: gets an error if nothing is left, a warning if much is left out.
        images: all of the file.
        annotations: those of the classes of the config, each with a box of four numbers.
        use: what is done with them.
    """
    side = annotations.sides(images)
    placed = ~np.isnan(side[:, 0])
    known = annotations.at(placed)
    reasons = first_ones(faults(known, side[placed], use), len(known))
    dropped = sum(reasons.values())
    crowds = reasons['with iscrowd']
    if len(known) and dropped == len(known):
        what = 'trained' if use.trained else 'measured'
        said = f'{message(report, reasons, len(known))}, so nothing is {what}; {advice(reasons)}'
        report.error('nothing_left', said, count=dropped)
    elif dropped - crowds > FAULTY * len(known) or crowds > USUAL * len(known):
        said = f'{message(report, reasons, len(known))}; {advice(reasons)} if they are meant'
        report.warning('dropped', said, count=dropped)
    if use.trained:
        check_dropped_images(report, images, set(annotations.image_ids.tolist()), use)


def faults(annotations: Annotations, side: np.ndarray, use: Use) -> dict[str, np.ndarray]:
    """Which annotations are left out for which reason, as upstream's parse_data_info and filter_data decide.

    Args:
        annotations: N, of known images.
        side: (N, 2) width and height of their images.
        use: what is done with them.

    Returns:
        (N,) booleans for each reason; the first one counts.
    """
    area, crowd = annotations.areas, {'with iscrowd': annotations.crowds}
    if not use.trained:
        return {'with no possible area': ~((area >= 0) & (area <= LARGEST))} | crowd
    start, extent = annotations.boxes[:, :2], annotations.boxes[:, 2:]
    return {
        'in images below min_size': (side < use.min_size).any(1),
        'with ignore': annotations.ignored,
        'outside their image': (np.minimum(start + extent, side) <= np.maximum(start, 0)).any(1),
        'with an area of 0': area <= 0,
        'narrower than a pixel': (extent < 1).any(1),
        'with RLE instead of polygons': (annotations.forms == RUNS) & use.polygons,
    } | crowd


def first_ones(masks: dict[str, np.ndarray], count: int) -> Counter[str]:
    """How many of so many things are in each mask and in none before it."""
    left, found = np.ones(count, dtype=bool), Counter[str]()
    for name, mask in masks.items():
        found[name] = int((mask & left).sum())
        left &= ~mask
    return +found


def message(report: Report, reasons: Counter[str], total: int) -> str:
    """How many are left out, and why."""
    listed = ', '.join(f'{count} {why}' for why, count in reasons.most_common() if count)
    return f'{report.where}: {sum(reasons.values())} of {total} annotations are left out by the loader ({listed})'


def advice(reasons: Counter[str]) -> str:
    """What to do about the most frequent reason."""
    return ADVICE[reasons.most_common(1)[0][0]]


def check_dropped_images(report: Report, images: Rows, annotated: set[Any], use: Use) -> None:
    """Count the images that are left out of training."""
    small = sum(min(row['width'], row['height']) < use.min_size for row in images)
    empty = sum(use.filter_empty and row['id'] not in annotated for row in images)
    total = len(images)
    if small == total:
        report.error(
            'no_images_left',
            f'{report.where}: all {total} images have a side below filter_cfg.min_size={use.min_size} and are left out '
            'of training; lower it',
            count=small,
        )
    elif small > FAULTY * total:
        report.warning(
            'small_images',
            f'{report.where}: {small} of {total} images have a side below filter_cfg.min_size={use.min_size} and are '
            'left out of training; lower it if they are meant',
            count=small,
        )
    if USUAL * total < empty < total:
        report.warning(
            'empty_images',
            f'{report.where}: {empty} of {total} images have no object of the classes and are left out of training; '
            'set filter_cfg.filter_empty_gt=False to train on them',
            count=empty,
        )
