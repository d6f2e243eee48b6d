"""What upstream's loader leaves out without a word, counted by reason; nothing left to learn from is an error."""

from collections import Counter
from typing import Any

from mmseq.datasets.checks.coco_file import Rows
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


def check_dropped(report: Report, images: Rows, annotations: Rows, use: Use) -> None:
    """Count the annotations, of the classes of the config, and the images that are left out.

    Args:
        report: gets an error if nothing is left, a warning if much is left out.
        images: all of the file.
        annotations: those of the classes of the config, each with a box of four numbers.
        use: what is done with them.
    """
    sizes = {row['id']: (row['width'], row['height']) for row in images}
    known = [ann for ann in annotations if ann['image_id'] in sizes]
    found = (reason(ann, *sizes[ann['image_id']], use) for ann in known)
    reasons = Counter(why for why in found if why)
    dropped = sum(reasons.values())
    crowds = reasons['with iscrowd']
    if known and dropped == len(known):
        what = 'trained' if use.trained else 'measured'
        said = f'{message(report, reasons, len(known))}, so nothing is {what}; {advice(reasons)}'
        report.error('nothing_left', said, count=dropped)
    elif dropped - crowds > FAULTY * len(known) or crowds > USUAL * len(known):
        said = f'{message(report, reasons, len(known))}; {advice(reasons)} if they are meant'
        report.warning('dropped', said, count=dropped)
    if use.trained:
        check_dropped_images(report, images, {ann['image_id'] for ann in annotations}, use)


def reason(ann: dict[str, Any], width: float, height: float, use: Use) -> str | None:
    """Why an annotation is left out, as upstream's parse_data_info and filter_data decide; None if it is kept."""
    if use.trained:
        left, top, w, h = ann['bbox']
        if min(width, height) < use.min_size:
            return 'in images below min_size'
        if ann.get('ignore'):
            return 'with ignore'
        if min(left + w, width) <= max(left, 0) or min(top + h, height) <= max(top, 0):
            return 'outside their image'
        if ann['area'] <= 0:
            return 'with an area of 0'
        if w < 1 or h < 1:
            return 'narrower than a pixel'
        if use.polygons and isinstance(ann.get('segmentation'), dict):
            return 'with RLE instead of polygons'
    elif not 0 <= ann['area'] <= LARGEST:
        return 'with no possible area'
    return 'with iscrowd' if ann.get('iscrowd') else None


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
