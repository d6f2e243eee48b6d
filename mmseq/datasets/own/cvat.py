"""CVAT XML: one file for many images ("CVAT for images 1.1"), with boxes, polygons, ellipses and painted masks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from mmseq.datasets.own.geometry import ellipse, encode, rectangle, rotated
from mmseq.datasets.own.source import Box, Labelled, Notes, Object, Polygons, Rle, Source, read_each, union
from mmseq.datasets.own.text import read_xml
from mmseq.datasets.own.tree import Tree, part_in
from mmseq.datasets.own.voc import root_of
from mmseq.errors import InputError

NAME = 'CVAT XML'
# Types of labels whose shapes have no area, and tags, which are of whole images: no class unless a shape says so.
WITHOUT_AREA = frozenset(('tag', 'points', 'polyline', 'skeleton', 'cuboid'))
Size = tuple[int, int]


def find(tree: Tree) -> list[Path]:
    """Files of many images."""
    return [path for path in tree.ending('.xml') if root_of(path) == 'annotations']


def read(tree: Tree, files: Sequence[Path], classes: Sequence[str]) -> Source:
    """Read the files and look for their images.

    Raises:
        InputError: a file is torn, is of a video, or has shapes that CVAT does not write.
    """
    notes = Notes()
    roots = read_each(files, _root, 'CVAT files')
    images = [image for path, root in zip(files, roots) for image in _images(tree, path, root, notes)]
    # The points of a skeleton are labels below another.
    labels = [row for root in roots for row in root.findall('meta//label') if row.find('parent') is None]
    listed = [row.findtext('name') or '' for row in labels if row.findtext('type') not in WITHOUT_AREA]
    names = union([listed, *([one.name for one in image.objects] for image in images)])
    found = f'{len(files)} file{"s" * (len(files) > 1)} of {sum(len(root.findall("image")) for root in roots)} images'
    return Source(NAME, found, [name for name in names if name], images, notes, ordered=True)


def _root(path: Path) -> Element:
    root = read_xml(path)
    if root.find('track') is not None:
        raise InputError(f'{path}: holds the tracks of a video; export it from CVAT as "CVAT for images 1.1"')
    if root.find('image') is None:
        raise InputError(f'{path}: holds no images; export it from CVAT as "CVAT for images 1.1"')
    return root


def _images(tree: Tree, path: Path, root: Element, notes: Notes) -> list[Labelled]:
    images = []
    for element in root.findall('image'):
        name = element.get('name') or ''
        image = tree.image(name, path)
        try:
            size = int(element.get('width') or 0), int(element.get('height') or 0)
            objects = _objects(element, size, path, notes)
        except (KeyError, ValueError, TypeError) as error:
            reason = f'no {error}' if isinstance(error, KeyError) else str(error)
            raise InputError(f'{path}: image {name!r}: a shape has {reason}; export it again') from error
        if image is None:
            notes.add('images that are not there, left out', name)
            continue
        part = part_in(element.get('subset') or '') or tree.part_of(image)
        images.append(Labelled(image, path, objects, part, size if all(size) else None))
    return images


def _objects(element: Element, size: Size, path: Path, notes: Notes) -> list[Object]:
    """The objects of an image, those that lie above others last."""
    objects = []
    for shape in sorted(element, key=lambda shape: int(shape.get('z_order') or 0)):
        if shape.tag in READERS:
            box, mask = READERS[shape.tag](shape, size)
            objects.append(Object((shape.get('label') or '').strip(), box, mask))
        elif shape.tag != 'tag':
            notes.add(f'shapes without area ({shape.tag}), left out', path.name)
    return objects


Drawn = tuple[Box | None, Polygons | Rle | None]


def _numbers(shape: Element, *keys: str) -> list[float]:
    return [float(shape.attrib[key]) for key in keys]


def _box(shape: Element, size: Size) -> Drawn:
    left, top, right, bottom = _numbers(shape, 'xtl', 'ytl', 'xbr', 'ybr')
    degrees = float(shape.get('rotation') or 0)
    if degrees % 180 == 0:
        return (left, top, right, bottom), None
    return None, [rotated(rectangle((left, top, right, bottom)), degrees, ((left + right) / 2, (top + bottom) / 2))]


def _polygon(shape: Element, size: Size) -> Drawn:
    return None, [np.array([[float(x) for x in point.split(',')] for point in shape.attrib['points'].split(';')])]


def _ellipse(shape: Element, size: Size) -> Drawn:
    x, y, across, down = _numbers(shape, 'cx', 'cy', 'rx', 'ry')
    return None, [ellipse(x, y, across, down, float(shape.get('rotation') or 0))]


def _mask(shape: Element, size: Size) -> Drawn:
    """Lengths of runs along the rows of a window, zeros first."""
    left, top, width, height = (int(float(shape.attrib[key])) for key in ('left', 'top', 'width', 'height'))
    runs = [int(run) for run in shape.attrib['rle'].split(',')]
    flat = np.repeat(np.arange(len(runs)) % 2, runs)
    if flat.size != width * height:
        raise ValueError(f'a mask of {flat.size} pixels for {width} x {height}')
    whole = np.zeros(size[::-1], bool)
    whole[top : top + height, left : left + width] = flat.reshape(height, width)
    return None, encode(whole)


READERS: dict[str, Callable[[Element, Size], Drawn]] = {
    'box': _box,
    'polygon': _polygon,
    'ellipse': _ellipse,
    'mask': _mask,
}
