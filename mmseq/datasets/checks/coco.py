"""Checks of a COCO annotation file, its images and the classes that a config wants of them.

Upstream finds most of these faults late, and some never: a class name that the annotation file lacks gives a data set
without that class, and no message; a box outside its image is dropped silently. The annotation file and each folder
are read once.
"""

import gc
import json
import os
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from mmseq.datasets.checks.findings import SHOWN_NAMES, Report, listed, spaced
from mmseq.datasets.checks.images import DamagedFileError, decode, in_threads
from mmseq.datasets.checks.shared import Progress, check_head, folder, plain_names, twins, unusual
from mmseq.errors import InputError

IDS, NUMBERS = (int, float, str), (int, float)
IMAGE_FIELDS = {'id': IDS, 'file_name': (str,), 'height': NUMBERS, 'width': NUMBERS}
CATEGORY_FIELDS = {'id': IDS, 'name': (str,)}
# Upstream reads the area of every annotation.
ANNOTATION_FIELDS = {'id': IDS, 'image_id': IDS, 'category_id': IDS, 'bbox': (list,), 'area': NUMBERS}
# A few bad boxes are usual (the loader drops them); more of them mean that the file holds another kind of box.
TOLERATED_BOXES = 0.01
Rows = list[dict[str, Any]]


def examine_coco(
    ann_file: str,
    img_dir: str,
    classes: Sequence[str] | None = None,
    num_classes: int | None = None,
    masks: bool = False,
    sample: int | None = 64,
    progress: Progress | None = None,
) -> Report:
    """Check a COCO annotation file and its images.

    Args:
        ann_file: the file.
        img_dir: the folder that its file names are relative to.
        classes: the config's names; None: those of the file.
        num_classes: the head's number; None: not compared.
        masks: whether masks are trained, so that every annotation needs one.
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
        _examine(report, img_dir, classes, num_classes, masks, sample, progress)
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
    masks: bool,
    sample: int | None,
    progress: Progress | None,
) -> None:
    ann_file = report.where
    content = _read_json(ann_file)
    images = _rows(ann_file, content, 'images', IMAGE_FIELDS)
    categories = _rows(ann_file, content, 'categories', CATEGORY_FIELDS)
    annotations = _rows(ann_file, content, 'annotations', ANNOTATION_FIELDS)
    report.total = len(images)
    for key, rows in (('images', images), ('categories', categories), ('annotations', annotations)):
        twins(report, 'duplicate_ids', f'{ann_file}: {key}', 'id', (row['id'] for row in rows))
    _check_sides(report, images)
    _check_classes(report, [category['name'] for category in categories], classes)
    check_head(report, len(categories if classes is None else classes), num_classes)
    _check_references(report, images, categories, annotations)
    _check_occurrence(report, categories, annotations, classes)
    if masks:
        _check_masks(report, annotations)
    present = _check_listed(report, img_dir, images)
    _check_images(report, img_dir, spaced(present, sample), progress)
    # After the images: a wrong size in the file is the cause where its boxes lie outside.
    _check_boxes(report, images, annotations)


def _read_json(path: str) -> dict[str, Any]:
    if not os.path.isfile(path):
        where = f'{path}: no such annotation file' if path else 'a data set of COCO format has no ann_file'
        raise InputError(f'{where}; correct data_root and ann_file, or fetch the data set')
    if os.path.getsize(path) == 0:
        raise InputError(f'{path}: is empty (0 bytes); fetch or write it again')
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path}: is not whole JSON ({error}), as a torn download leaves; fetch it again') from error
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); correct its permissions') from error
    if not isinstance(content, dict):
        raise InputError(f'{path}: holds a {type(content).__name__} instead of an object; give a COCO instances file')
    return content


def _rows(path: str, content: dict[str, Any], key: str, fields: dict[str, tuple[type, ...]]) -> Rows:
    """The list at `key`, not empty, each entry with these fields of these types."""
    rows = content.get(key)
    if not isinstance(rows, list):
        found = f'holds {", ".join(map(repr, list(content)[:SHOWN_NAMES])) or "nothing"}'
        raise InputError(f'{path}: has no list {key!r} ({found}); give a COCO instances file')
    if not rows:
        raise InputError(f'{path}: {key!r} is empty; there is nothing to train on, give a file with {key}')
    wanted = frozenset(fields)
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f'{path}: {key}[{index}] is a {type(row).__name__} instead of an object; write it anew')
        if not wanted <= row.keys():
            missing = next(field for field in fields if field not in row)
            raise InputError(f'{path}: {key}[{index}] has no {missing!r}; add it, upstream requires it')
    for field, types in fields.items():
        if not {type(row[field]) for row in rows} <= set(types):
            index = next(k for k, row in enumerate(rows) if type(row[field]) not in types)
            names = ' or '.join(kind.__name__ for kind in types)
            raise InputError(
                f'{path}: {key}[{index}] has {field} {str(rows[index][field])[:40]!r}, a '
                f'{type(rows[index][field]).__name__}; write {names}'
            )
    return rows


def _check_sides(report: Report, images: Rows) -> None:
    wrong = [row for row in images if not (0 < row['height'] < 1e6 and 0 < row['width'] < 1e6)]
    if wrong:
        row = wrong[0]
        report.error(
            'wrong_size',
            f'{report.where}: {len(wrong)} images have no possible size, first {row["file_name"]!r} with '
            f'{row["height"]} x {row["width"]} (height x width); write the size of the file',
            row['file_name'],
            len(wrong),
        )


def _check_classes(report: Report, names: list[str], classes: Sequence[str] | None) -> None:
    where = report.where
    twins(report, 'categories', f'{where}: categories', 'name', names)
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
            f'{where}: classes stand in another order than its categories: number {first} is {classes[first]!r} in '
            f'the config, {chosen[first]!r} in the file; use the order of the file, or names and labels get mixed up',
            classes[first],
            sum(a != b for a, b in zip(classes, chosen)),
        )


def _check_references(report: Report, images: Rows, categories: Rows, annotations: Rows) -> None:
    """Every annotation belongs to an image and a category of the file."""
    for key, rows, known_as in (('image_id', images, 'images'), ('category_id', categories, 'categories')):
        known = {row['id'] for row in rows}
        lost = [ann for ann in annotations if ann[key] not in known]
        if lost:
            report.error(
                f'unknown_{key}',
                f'{report.where}: {len(lost)} of {len(annotations)} annotations have a {key} that is not among its '
                f'{known_as}, first {key} {lost[0][key]!r} of annotation {lost[0]["id"]!r}; drop or renumber them',
                str(lost[0]['id']),
                len(lost),
            )


def _check_occurrence(report: Report, categories: Rows, annotations: Rows, classes: Sequence[str] | None) -> None:
    """Every wanted class has annotations."""
    wanted = [row for row in categories if classes is None or row['name'] in set(classes)]
    seen = {ann['category_id'] for ann in annotations}
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
            f'{report.where}: {len(absent)} of {len(wanted)} classes never occur: {listed(absent)}; nothing can be '
            'learnt or measured of them',
            absent[0],
            len(absent),
        )


def _check_boxes(report: Report, images: Rows, annotations: Rows) -> None:
    """Boxes are four numbers, with an area, within their image."""
    boxes = [ann['bbox'] for ann in annotations]
    if set(map(len, boxes)) != {4} or not set(map(type, chain.from_iterable(boxes))) <= set(NUMBERS):
        wrong = [ann for ann in annotations if len(ann['bbox']) != 4 or not {*map(type, ann['bbox'])} <= set(NUMBERS)]
        report.error(
            'malformed_boxes',
            f'{report.where}: annotation {wrong[0]["id"]!r} has bbox {wrong[0]["bbox"]!r:.80}; give [left, top, width, '
            'height]',
            str(wrong[0]['id']),
            len(wrong),
        )
        return
    sizes = {row['id']: (row['width'], row['height']) for row in images}
    known = [ann for ann in annotations if ann['image_id'] in sizes]
    box = _table((ann['bbox'] for ann in known), 4)
    side = _table((sizes[ann['image_id']] for ann in known), 2)
    start, extent = box[:, :2], box[:, 2:]
    finite = np.isfinite(box).all(1)
    with np.errstate(invalid='ignore', over='ignore'):
        empty = finite & (extent <= 0).any(1)
        inner = np.minimum(start + extent, side) - np.maximum(start, 0)
        outside = finite & ~empty & (inner <= 0).any(1)
        # Rounding leaves many boxes a pixel too large.
        over = finite & ~empty & ~outside & ((start < -1) | (start + extent > side + 1)).any(1)
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


def _table(rows: Iterable[Sequence[float]], columns: int) -> np.ndarray:
    """Rows of numbers as an array (rows, columns); numpy takes seconds for a million small lists."""
    return np.fromiter(chain.from_iterable(rows), np.float64).reshape(-1, columns)


def _check_masks(report: Report, annotations: Rows) -> None:
    bare = [ann for ann in annotations if not ann.get('segmentation')]
    if bare:
        report.error(
            'no_mask',
            f'{report.where}: {len(bare)} of {len(annotations)} annotations have no segmentation, first annotation '
            f'{bare[0]["id"]!r}, but the config trains masks; add them, or train without masks',
            str(bare[0]['id']),
            len(bare),
        )


def _check_listed(report: Report, img_dir: str, images: Rows) -> Rows:
    """The images that lie in the folder, which is listed once instead of asked once per image."""
    try:
        folder(img_dir, 'image')
    except InputError as error:
        report.error('missing', str(error), count=len(images))
        return []
    listing: dict[str, set[str]] = {}
    present, absent = [], []
    for row in images:
        inner, name = os.path.split(row['file_name'])
        if inner not in listing:
            path = os.path.join(img_dir, inner)
            listing[inner] = {entry.name for entry in os.scandir(path)} if os.path.isdir(path) else set()
        (present if name in listing[inner] else absent).append(row)
    if absent:
        report.error(
            'missing',
            f'{img_dir}: {len(absent)} of the {len(images)} images in {report.where} are not there, first '
            f'{absent[0]["file_name"]!r}; correct data_prefix, or fetch the images',
            absent[0]['file_name'],
            len(absent),
        )
    return present


def _check_images(report: Report, img_dir: str, images: Rows, progress: Progress | None) -> None:
    """Images are whole and as large as the file says."""
    report.checked = len(images)

    def look(row: dict[str, Any]) -> Any:
        try:
            return decode(os.path.join(img_dir, row['file_name']))[0]
        except DamagedFileError as error:
            return error

    looks = zip(images, in_threads(look, images))
    for row, header in progress(looks, len(images)) if progress else looks:
        path = os.path.join(img_dir, row['file_name'])
        if isinstance(header, DamagedFileError):
            report.error(header.kind, str(header), path)
            continue
        unusual(report, path, header)
        if (row['height'], row['width']) != (header.height, header.width):
            report.error(
                'wrong_size',
                f'{path}: is {header.height} x {header.width} (height x width), but {report.where} says '
                f'{row["height"]} x {row["width"]}; its boxes belong to another version of the image, use the one they '
                'were drawn on',
                path,
            )
