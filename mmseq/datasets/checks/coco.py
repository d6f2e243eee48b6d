"""Checks of a COCO annotation file, its images and the classes that a config wants of them.

Upstream finds most of these faults late, and some never: a class name that the annotation file lacks gives a data set
without that class, and no message; a box outside its image is dropped silently. The annotation file and each folder
are read once.
"""

import gc
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmseq.datasets.checks.coco_annotations import Annotations, Rows, arranged
from mmseq.datasets.checks.coco_boxes import check_boxes
from mmseq.datasets.checks.coco_dropped import check_dropped
from mmseq.datasets.checks.coco_evaluation import check_evaluated
from mmseq.datasets.checks.coco_file import (
    CATEGORY_FIELDS,
    Naming,
    read_annotations,
    read_images,
    read_json,
    read_rows,
)
from mmseq.datasets.checks.coco_images import check_images, check_listed, check_sides
from mmseq.datasets.checks.coco_masks import check_masks
from mmseq.datasets.checks.findings import Report, listed, spaced
from mmseq.datasets.checks.shared import Progress, check_head, check_unique, plain_names
from mmseq.datasets.checks.use import TRAINED, Use
from mmseq.errors import InputError


def examine_coco(
    ann_file: str,
    img_dir: str,
    classes: Sequence[str] | None = None,
    num_classes: int | None = None,
    use: Use = TRAINED,
    naming: Naming = 'coco',
    sample: int | None = 64,
    progress: Progress | None = None,
) -> Report:
    """Check a COCO annotation file and its images.

    Args:
        ann_file: the file.
        img_dir: the folder that its file names are relative to.
        classes: the config's names; None: those of the file.
        num_classes: the head's number; None: not compared.
        use: what the config does with them.
        naming: how the file names its images.
        sample: how many images are opened, evenly spaced; None: all.
        progress: wraps the images as they are opened, given their number.

    Returns:
        What was found; a file that is no COCO file ends the check with one error.
    """
    report = Report(ann_file)
    collecting = gc.isenabled()
    # Millions of objects that stay: the collector would go through them again and again, for most of the time.
    gc.disable()
    try:
        _examine(report, img_dir, classes, num_classes, use, naming, sample, progress)
    except InputError as error:
        report.error('annotation_file', str(error))
    finally:
        if collecting:
            gc.enable()
    return report


def _examine(
    report: Report,
    img_dir: str,
    classes: Sequence[str] | None,
    num_classes: int | None,
    use: Use,
    naming: Naming,
    sample: int | None,
    progress: Progress | None,
) -> None:
    ann_file = report.where
    content = read_json(ann_file)
    images = read_images(ann_file, content, naming)
    categories = read_rows(ann_file, content, 'categories', CATEGORY_FIELDS)
    annotations = read_annotations(ann_file, content) if use.labelled else arranged([])
    report.total = len(images)
    for key, rows in (('images', images), ('categories', categories)):
        check_unique(report, 'duplicate_ids', f'{ann_file}: {key}', 'id', [row['id'] for row in rows])
    check_unique(report, 'duplicate_ids', f'{ann_file}: annotations', 'id', annotations.ids.tolist())
    check_sides(report, images)
    _check_classes(report, [category['name'] for category in categories], classes)
    check_head(report, len(categories if classes is None else classes), num_classes)
    _check_references(report, images, categories, annotations)
    if use.labelled:
        _check_occurrence(report, categories, annotations, classes)
    if use.coco_metric:
        check_evaluated(report, images, categories, annotations)
    present = check_listed(report, img_dir, images)
    check_images(report, img_dir, spaced(present, sample), use.channels, progress)
    # After the images: a wrong size in the file is the cause where its boxes lie outside.
    if len(annotations) and check_boxes(report, images, annotations):
        if use.masks:
            check_masks(report, images, annotations, use.trained)
        wanted = {row['id'] for row in categories if classes is None or row['name'] in set(classes)}
        check_dropped(report, images, annotations.at(among(annotations.category_ids, wanted)), use)


def _check_classes(report: Report, names: list[str], classes: Sequence[str] | None) -> None:
    where = report.where
    check_unique(report, 'categories', f'{where}: categories', 'name', names)
    if classes is None or not plain_names(report, classes):
        return
    if not classes:
        report.error('categories', 'classes: is empty; name at least one class')
        return
    missing = [name for name in classes if name not in set(names)]
    chosen = [name for name in names if name in set(classes)]
    if len(missing) == len(classes):
        report.error(
            'categories',
            f'{where}: class names differ: the config has {listed(classes)}, the file {listed(names)}; '
            'set metainfo.classes to the names of the file',
            missing[0],
            len(missing),
        )
    elif missing:
        report.error(
            'categories',
            f'{where}: {len(missing)} of the {len(classes)} classes are not among its categories: '
            f'{listed(missing)}; spell them as the file does ({listed(names)}), or drop them',
            missing[0],
            len(missing),
        )
    elif chosen != list(classes) and len(set(chosen)) == len(chosen) == len(classes):
        first = next(k for k, (a, b) in enumerate(zip(classes, chosen)) if a != b)
        # mmdet numbers its labels by the file's order and names them by the config's.
        report.error(
            'categories',
            f'{where}: classes are in another order than its categories: number {first} is {classes[first]!r} in '
            f'the config, {chosen[first]!r} in the file; use the order of the file, or names and labels get mixed up',
            classes[first],
            sum(a != b for a, b in zip(classes, chosen)),
        )


def among(ids: np.ndarray, wanted: set[Any]) -> np.ndarray:
    """(N,) which of N ids are among the wanted ones."""
    return np.fromiter((one in wanted for one in ids.tolist()), bool, len(ids))


def _check_references(report: Report, images: Rows, categories: Rows, annotations: Annotations) -> None:
    """Every annotation belongs to an image and a category of the file."""
    for key, ids, rows, known_as in (
        ('image_id', annotations.image_ids, images, 'images'),
        ('category_id', annotations.category_ids, categories, 'categories'),
    ):
        lost = np.flatnonzero(~among(ids, {row['id'] for row in rows}))
        if lost.size:
            first = annotations.id_at(lost[0])
            report.error(
                f'unknown_{key}',
                f'{report.where}: {len(lost)} of {len(annotations)} annotations have a {key} that is not among its '
                f'{known_as}, first {key} {ids[lost[:1]].tolist()[0]!r} of annotation {first!r}; drop or renumber them',
                str(first),
                len(lost),
            )


def _check_occurrence(
    report: Report, categories: Rows, annotations: Annotations, classes: Sequence[str] | None
) -> None:
    """Every wanted class has annotations."""
    wanted = [row for row in categories if classes is None or row['name'] in set(classes)]
    seen = set(annotations.category_ids.tolist())
    absent = [row['name'] for row in wanted if row['id'] not in seen]
    if wanted and len(absent) == len(wanted):
        report.error(
            'absent_classes',
            f'{report.where}: none of its {len(annotations)} annotations is of the classes {listed(absent)}; '
            'give a file that has some, or other classes',
            absent[0],
            len(absent),
        )
    elif absent:
        report.warning(
            'absent_classes',
            f'{report.where}: {len(absent)} of {len(wanted)} classes never occur: {listed(absent)}; they can be '
            'neither learnt nor measured',
            absent[0],
            len(absent),
        )
