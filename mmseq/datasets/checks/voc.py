"""Checks of Pascal VOC's XML files and images, as upstream's XMLDataset reads them by a list of names.

Upstream ends in a traceback at an object without a box, and leaves out objects whose name is none of the classes
without a word.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from mmseq.datasets.checks.coco_images import check_images
from mmseq.datasets.checks.findings import Report, listed, spaced
from mmseq.datasets.checks.shared import Progress, check_head, check_unique, folder, plain_names, read_names
from mmseq.datasets.own.text import read_xml
from mmseq.errors import InputError

CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
Box = tuple[int, int, int, int]


@dataclass
class Seen:
    """What the XML files hold.

    Args:
        rows: name, height and width of images whose size is given, as in COCO's files.
        names: how often each class name occurs.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)


def examine_voc(
    ann_file: str,
    img_dir: str,
    xml_dir: str,
    classes: Sequence[str] | None = None,
    num_classes: int | None = None,
    channels: bool = False,
    sample: int | None = 64,
    progress: Progress | None = None,
) -> Report:
    """Check a list of names, the XML file and the image of each.

    Args:
        ann_file: the list of names.
        img_dir: folder of the images, ``NAME.jpg``.
        xml_dir: folder of ``NAME.xml``.
        classes: the config's names.
        num_classes: the head's number; None: not compared.
        channels: images are loaded by LoadMultispectralImage, which reads what OpenCV does not.
        sample: how many images are opened, evenly spaced; None: all. XML files are all read.
        progress: wraps the images as they are opened, given their number.

    Returns:
        What was found; an absent list or folder ends the check with one error.
    """
    report = Report(ann_file)
    if classes is not None and plain_names(report, classes):
        check_head(report, len(classes), num_classes)
    try:
        names = read_names(ann_file)
        folder(img_dir, 'image')
        folder(xml_dir, 'annotation')
    except InputError as error:
        report.error('missing', str(error))
        return report
    report.total = len(names)
    check_unique(report, 'duplicate_ids', ann_file, 'name', names)
    without_image = _absent(report, img_dir, '.jpg', names)
    without_xml = _absent(report, xml_dir, '.xml', names)
    seen = _read(report, xml_dir, [name for name in names if name not in without_image | without_xml])
    if classes is not None:
        _check_classes(report, seen.names, classes)
    check_images(report, img_dir, spaced(seen.rows, sample), channels, progress)
    return report


def _absent(report: Report, path: str, suffix: str, names: Sequence[str]) -> set[str]:
    """The names of which a folder has no file."""
    with os.scandir(path) as entries:
        there = {entry.name for entry in entries}
    lost = [name for name in names if name + suffix not in there]
    if lost:
        report.error(
            'missing',
            f'{path}: {len(lost)} of the {len(names)} files that {report.where} names are not there, first '
            f'{lost[0] + suffix!r}; correct ann_file, or fetch them',
            lost[0] + suffix,
            len(lost),
        )
    return set(lost)


def _read(report: Report, xml_dir: str, names: Sequence[str]) -> Seen:
    seen = Seen()
    for name in names:
        path = os.path.join(xml_dir, f'{name}.xml')
        try:
            size = _look(report, path, read_xml(Path(path)), seen)
        except InputError as error:
            report.error('annotation_file', str(error), path)
            continue
        if size is not None:
            seen.rows.append(dict(file_name=f'{name}.jpg', height=size[0], width=size[1]))
    if names and not seen.names:
        report.error('absent_classes', f'{report.where}: there is no object in {len(names)} XML files; give others')
    return seen


def _look(report: Report, path: str, root: Element, seen: Seen) -> tuple[int, int] | None:
    """Look at the objects of a file; height and width as it has them.

    Raises:
        InputError: upstream cannot read it.
    """
    size = _size(root, path)
    for number, one in enumerate(root.findall('object')):
        name = one.findtext('name')
        if name is None:
            raise InputError(f'{path}: object {number} has no name; add it or remove the object')
        seen.names[name] += 1
        _check_box(report, path, name, _box(one, path, name), size)
    return size


def _size(root: Element, path: str) -> tuple[int, int] | None:
    if root.find('size') is None:
        return None
    try:
        return int(root.findtext('size/height') or ''), int(root.findtext('size/width') or '')
    except ValueError as error:
        raise InputError(f'{path}: its size has no whole width and height; write them, or leave size out') from error


def _box(one: Element, path: str, name: str) -> Box:
    try:
        left, top, right, bottom = (int(float(one.findtext(f'bndbox/{corner}') or '')) for corner in CORNERS)
        int(one.findtext('difficult') or 0)
    except ValueError as error:
        raise InputError(
            f'{path}: object {name!r} has no bndbox of four numbers, or a difficult that is no number; correct or '
            'remove it'
        ) from error
    return left, top, right, bottom


def _check_box(report: Report, path: str, name: str, box: Box, size: tuple[int, int] | None) -> None:
    """A box has an area, and lies in its image, whose pixels count from 1."""
    left, top, right, bottom = box
    if right <= left or bottom <= top:
        report.error('malformed_boxes', f'{path}: the box {box} of {name!r} has no area; correct or remove it', path)
    elif size is not None and (min(left, top) < 0 or right > size[1] or bottom > size[0]):
        report.warning(
            'outside_boxes',
            f'{path}: the box {box} of {name!r} reaches beyond the image of {size[0]} x {size[1]} (height x width); '
            'check that it was drawn on this image',
            path,
        )


def _check_classes(report: Report, found: Counter[str], classes: Sequence[str]) -> None:
    """Every object is of a class, and every class occurs."""
    others = [name for name in found if name not in set(classes)]
    if others:
        report.warning(
            'unknown_classes',
            f'{report.where}: {listed(others)} are none of the classes; their objects are left out',
            others[0],
            sum(found[name] for name in others),
        )
    absent = [name for name in classes if name not in found]
    if absent and len(absent) == len(classes) and found:
        report.error(
            'absent_classes',
            f'{report.where}: no object is of the classes {listed(absent)}, but of {listed(others)}; set '
            'metainfo.classes to the names of the files',
            absent[0],
            len(absent),
        )
    elif absent and found:
        report.warning(
            'absent_classes',
            f'{report.where}: {len(absent)} of {len(classes)} classes never occur: {listed(absent)}; they can be '
            'neither learnt nor measured',
            absent[0],
            len(absent),
        )
