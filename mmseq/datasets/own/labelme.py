"""LabelMe json: one file for each image, with polygons, rectangles, circles and painted masks."""

import base64
import binascii
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmseq.datasets.formats import open_image
from mmseq.datasets.own.coco import kind_of
from mmseq.datasets.own.geometry import box_of_points, ellipse, encode
from mmseq.datasets.own.source import Labelled, Notes, Object, Polygons, Rle, Source, read_each, union
from mmseq.datasets.own.text import read_json
from mmseq.datasets.own.tree import Tree
from mmseq.errors import InputError

NAME = 'LabelMe json'
WITHOUT_AREA = frozenset(('point', 'points', 'line', 'linestrip'))


def find(tree: Tree) -> list[Path]:
    """LabelMe's files."""
    return [path for path in tree.ending('.json') if kind_of(path) == 'labelme']


def read(tree: Tree, files: Sequence[Path], classes: Sequence[str]) -> Source:
    """Read the files, and the images that lie in them where they lie nowhere else.

    Raises:
        InputError: files are torn, or shapes are not as LabelMe writes them.
    """
    notes = Notes()
    images = [image for image in read_each(files, lambda path: _read(tree, path, notes), 'LabelMe files') if image]
    # LabelMe has no list of classes: they come in the order of the alphabet, which does not change with the files.
    names = sorted(union([one.name for one in image.objects] for image in images))
    return Source(NAME, f'{len(files)} files', names, images, notes, ordered=True)


def _read(tree: Tree, path: Path, notes: Notes) -> Labelled | None:
    content = read_json(path)
    name = str(content.get('imagePath') or '')
    image = tree.image(name, path) if name else None
    if image is None:
        image = tree.image(f'{path.stem}.json', path, stem=True)
    objects = _objects(content, path, notes)
    embedded = None if image else _embedded(content, path)
    if image is None and embedded is None:
        notes.add('images that are not there, left out', name or path.name)
        return None
    size = content.get('imageWidth'), content.get('imageHeight')
    known = (int(size[0]), int(size[1])) if size[0] and size[1] else None
    part = tree.part_of(path)
    return Labelled(image or path.with_suffix(Path(name).suffix or '.png'), path, objects, part, known, False, embedded)


def _embedded(content: dict[str, Any], path: Path) -> bytes | None:
    if not content.get('imageData'):
        return None
    try:
        return base64.b64decode(content['imageData'], validate=False)
    except (binascii.Error, TypeError, ValueError) as error:
        raise InputError(f'{path}: its imageData is no image ({error}); give the image file beside it') from error


def _objects(content: dict[str, Any], path: Path, notes: Notes) -> list[Object]:
    """Objects in their order; masks of one label and group are one object, as LabelMe's own converter has it."""
    groups: dict[Any, list[Object]] = {}
    for number, shape in enumerate(content['shapes']):
        kind = shape.get('shape_type') or 'polygon'
        if kind in WITHOUT_AREA:
            notes.add(f'shapes without area ({kind}), left out', path.name)
            continue
        one = _object(shape, kind, content, path)
        if one is None:
            notes.add('polygons of fewer than three points, left out', path.name)
            continue
        # Groups of boxes are used for much else.
        group = shape.get('group_id') if one.mask else None
        groups.setdefault(number if group is None else (one.name, group), []).append(one)
    return [_joined(group, path) for group in groups.values()]


def _joined(group: Sequence[Object], path: Path) -> Object:
    """One object of several masks; a painted mask stays by itself."""
    if len(group) == 1:
        return group[0]
    polygons: Polygons = []
    for one in group:
        if not isinstance(one.mask, list):
            raise InputError(
                f'{path}: a painted mask {one.name!r} is grouped with other shapes; take it out of the group'
            )
        polygons += one.mask
    return Object(group[0].name, None, polygons)


def _object(shape: dict[str, Any], kind: str, content: dict[str, Any], path: Path) -> Object | None:
    label = str(shape.get('label') or '').strip()
    try:
        points = np.array(shape['points'], float).reshape(-1, 2)
        if not label or kind not in READERS:
            raise ValueError(f'shape of type {kind!r} with label {label!r}')
        mask = READERS[kind](points, shape, content)
    except (KeyError, ValueError, TypeError, IndexError, OSError) as error:
        raise InputError(f'{path}: {error}, which is no shape of LabelMe; correct or remove it') from error
    if kind == 'rectangle':
        return Object(label, box_of_points(points))
    return None if mask is None else Object(label, None, mask)


def _polygon(points: np.ndarray, shape: dict[str, Any], content: dict[str, Any]) -> Polygons | None:
    return [points] if len(points) > 2 else None


def _rectangle(points: np.ndarray, shape: dict[str, Any], content: dict[str, Any]) -> Polygons | None:
    # Two corners in any order, or all four.
    if len(points) not in (2, 4):
        raise ValueError(f'rectangle of {len(points)} points')
    return None


def _circle(points: np.ndarray, shape: dict[str, Any], content: dict[str, Any]) -> Polygons:
    (x, y), edge = points[0], points[1]
    radius = float(np.hypot(*(edge - points[0])))
    return [ellipse(x, y, radius, radius)]


def _mask(points: np.ndarray, shape: dict[str, Any], content: dict[str, Any]) -> Rle:
    with open_image(io.BytesIO(base64.b64decode(shape['mask']))) as image:
        painted = np.asarray(image).astype(bool)
    whole = np.zeros((int(content['imageHeight']), int(content['imageWidth'])), bool)
    left, top = points[0].round().astype(int)
    whole[top : top + painted.shape[0], left : left + painted.shape[1]] = painted
    return encode(whole)


Reader = Callable[[np.ndarray, dict[str, Any], dict[str, Any]], Polygons | Rle | None]
READERS: dict[str, Reader] = {
    'polygon': _polygon,
    'rectangle': _rectangle,
    # Turned boxes are polygons of four points.
    'oriented_rectangle': _polygon,
    'rotation': _polygon,
    'circle': _circle,
    'mask': _mask,
}
