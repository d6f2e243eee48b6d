"""Pascal VOC XML: one file for each image, parts as lists of names in ImageSets.

Its pixels count from 1, and a box holds its last ones: the box (1, 1, W, H) covers an image. So 1 is taken from left
and top, as detectron2 does; mmdet and supervision take it from right and bottom too. Where a 0 occurs, the tool that
wrote the files counts from 0, and nothing is taken.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from mmseq.datasets.own.card import PARTS
from mmseq.datasets.own.source import Labelled, Notes, Object, Polygons, Source, read_each, union
from mmseq.datasets.own.text import read_lines, read_xml
from mmseq.datasets.own.tree import Tree
from mmseq.errors import InputError

NAME = 'Pascal VOC XML'
HEAD = 4096


def root_of(path: Path) -> str:
    """The name of an XML file's outermost element as far as its beginning tells."""
    with path.open('rb') as file:
        head = file.read(HEAD).decode('utf-8', 'ignore')
    for name in ('annotations', 'annotation'):
        if f'<{name}>' in head or f'<{name} ' in head:
            return name
    return ''


def find(tree: Tree) -> list[Path]:
    """Files of one image each."""
    return [path for path in tree.ending('.xml') if root_of(path) == 'annotation']


def read(tree: Tree, files: Sequence[Path], classes: Sequence[str]) -> Source:
    """Read the files and look for their images.

    Raises:
        InputError: files are torn, or an object has no name and box.
    """
    notes = Notes()
    images = [image for image in read_each(files, lambda path: _read(tree, path, notes), 'XML files') if image]
    listed = _listed(tree, {image.labels.stem for image in images})
    images = [replace(image, part=listed.get(image.labels.stem, image.part)) for image in images]
    corners = [one.box[:2] for image in images for one in image.objects if one.box]
    if corners and min(map(min, corners)) >= 1:
        notes.add('boxes count pixels from 1, which was taken from left and top', count=len(corners))
        images = [replace(image, objects=[_from_zero(one) for one in image.objects]) for image in images]
    known = {image.labels.stem for image in images} | {image.image.stem for image in images}
    others = [path for path in tree.images if path.stem not in known and 'segmentation' not in path.parent.name.lower()]
    if others:
        notes.add('images without an XML file, left out', others[0].name, len(others))
    names = sorted(union([one.name for one in image.objects] for image in images))
    return Source(NAME, f'{len(files)} files', names, images, notes)


def _listed(tree: Tree, known: Collection[str]) -> dict[str, str]:
    """Parts of names, from ImageSets' lists; none unless both train and val are listed."""
    lists = [path for path in tree.ending('.txt') if 'imagesets' in (part.lower() for part in path.parts)]
    plain = {path.stem.lower(): path for path in lists if path.stem.lower() in PARTS}
    if not {'train', 'val'} <= set(plain):
        return {}
    found: dict[str, str] = {}
    for part, path in sorted(plain.items()):
        for line in read_lines(path):
            # Some lists give a suffix, or a 1 behind each name.
            names = (line, Path(line).stem, line.split()[0])
            found[next((name for name in names if name in known), line)] = part
    return found


def _read(tree: Tree, path: Path, notes: Notes) -> Labelled | None:
    root = read_xml(path)
    name = (root.findtext('filename') or '').strip()
    # The file names fit where what stands in them was copied from another image.
    image = tree.image(f'{path.stem}.xml', path, stem=True) or (tree.image(name, path, stem=True) if name else None)
    if image is None:
        notes.add('images that are not there, left out', name or path.stem)
        return None
    objects = [_object(element, path, notes) for element in root.findall('object')]
    return Labelled(image, path, objects, tree.part_of(path), _size(root))


def _size(root: Element) -> tuple[int, int] | None:
    width, height = (_number(root.findtext(f'size/{key}')) for key in ('width', 'height'))
    # Some tools write 0 where they do not know.
    return (int(width), int(height)) if width and height else None


def _object(element: Element, path: Path, notes: Notes) -> Object:
    name = (element.findtext('name') or '').strip()
    if element.find('robndbox') is not None:
        raise InputError(f'{path}: has oriented boxes (robndbox), which are not read; export upright boxes or polygons')
    found = [_number(element.findtext(f'bndbox/{key}')) for key in ('xmin', 'ymin', 'xmax', 'ymax')]
    left, top, right, bottom = found
    if not name or left is None or top is None or right is None or bottom is None:
        raise InputError(f'{path}: object {name!r} has no name or no box; correct or remove it')
    difficult = (element.findtext('difficult') or '0').strip() == '1'
    if difficult:
        notes.add('difficult objects, neither trained nor evaluated', path.name)
    return Object(name, (left, top, right, bottom), _polygon(element), difficult)


def _polygon(element: Element) -> Polygons | None:
    """The points x1, y1, x2, y2 ... that some services write beside the box."""
    polygon = element.find('polygon')
    points: list[tuple[float, float]] = []
    while polygon is not None:
        x, y = (_number(polygon.findtext(f'{axis}{len(points) + 1}')) for axis in 'xy')
        if x is None or y is None:
            break
        points.append((x, y))
    return [np.array(points)] if len(points) > 2 else None


def _from_zero(one: Object) -> Object:
    assert one.box is not None
    left, top, right, bottom = one.box
    mask = [points - 1 for points in one.mask] if isinstance(one.mask, list) else one.mask
    return replace(one, box=(left - 1, top - 1, right, bottom), mask=mask)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
