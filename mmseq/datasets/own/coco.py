"""COCO json: one file, or one for each part, as labelling services export them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmseq.datasets.own.source import Labelled, Notes, Object, Polygons, Rle, Source, read_each, union
from mmseq.datasets.own.text import read_json
from mmseq.datasets.own.tree import Tree
from mmseq.errors import InputError

NAME = 'COCO json'
# Of a file that is one of the two: JSON's keys stand in its first part, but for files of many images. Many formats
# have a list of annotations, and the notes beside Label Studio's YOLO labels one of categories.
HEAD = 1 << 16
COCO_KEY, LABELME_KEY = re.compile(r'"images"\s*:\s*\['), re.compile(r'"shapes"\s*:\s*\[')
# Files of the original data set that lie beside those of instances and describe the same images.
ASIDE = re.compile(r'^(captions|person_keypoints|panoptic|image_info|stuff)_')


def kind_of(path: Path) -> str:
    """Whether a JSON file is one of COCO's, LabelMe's, or another."""
    with path.open('rb') as file:
        head = file.read(HEAD).decode('utf-8-sig', 'ignore')
        # Label Studio's own export is a list whose entries have annotations.
        if not head.lstrip().startswith('{'):
            return 'other'
        for name, key in (('labelme', LABELME_KEY), ('coco', COCO_KEY)):
            if key.search(head):
                return name
        rest = file.read().decode('utf-8', 'ignore')
    return next((name for name, key in (('labelme', LABELME_KEY), ('coco', COCO_KEY)) if key.search(rest)), 'other')


def find(tree: Tree) -> list[Path]:
    """COCO's files of objects."""
    found = [path for path in tree.ending('.json') if kind_of(path) == 'coco']
    return [path for path in found if not ASIDE.match(path.stem)] or found


def read(tree: Tree, files: Sequence[Path], classes: Sequence[str]) -> Source:
    """Read the files and look for their images.

    Raises:
        InputError: a file is torn or has no images, annotations and categories.
    """
    notes = Notes()
    contents = dict(zip(files, read_each(files, _content, 'COCO files')))
    names = {path: _names(path, content) for path, content in contents.items()}
    images = [image for path in files for image in _images(tree, path, contents[path], names[path], notes)]
    if len(files) > 1 and len({tuple(names[path].values()) for path in files}) > 1:
        notes.add('classes differ between the files and were joined by name; files', count=len(files))
    found = f'{len(files)} file{"s" * (len(files) > 1)}: {", ".join(str(tree.relative(path)) for path in files[:4])}'
    used = {one.name for image in images for one in image.objects}
    kept = [name for name in union(names[path].values() for path in files) if name not in _projects(contents) - used]
    return Source(NAME, found, kept, images, notes)


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    for key in ('images', 'categories'):
        if not isinstance(content.get(key), list) or not all(isinstance(row, dict) for row in content[key]):
            raise InputError(f'{path}: has no list of {key}; give a COCO file of objects')
    # Images to be predicted have none.
    if not isinstance(content.setdefault('annotations', []), list):
        raise InputError(f'{path}: its annotations are no list; give a COCO file of objects')
    if any('segments_info' in row for row in content['annotations']):
        raise InputError(f'{path}: holds panoptic segments; give the file of instances instead')
    return content


def _projects(contents: Mapping[Path, dict[str, Any]]) -> set[str]:
    """Categories that only name the project: all others lie below them."""
    rows = [row for content in contents.values() for row in content['categories']]
    above = {row.get('supercategory') for row in rows if row.get('supercategory') != row.get('name')}
    return {row['name'] for row in rows if row.get('name') in above}


def _names(path: Path, content: dict[str, Any]) -> dict[Any, str]:
    """Names of the classes by id.

    Raises:
        InputError: an id has two names.
    """
    names: dict[Any, str] = {}
    for row in content['categories']:
        if 'id' not in row or not str(row.get('name', '')).strip():
            raise InputError(f'{path}: category {str(row)[:60]} has no id and name; add them')
        name = str(row['name']).strip()
        if names.setdefault(row['id'], name) != name:
            raise InputError(f'{path}: category id {row["id"]} is both {names[row["id"]]!r} and {name!r}; correct it')
    return names


def _images(tree: Tree, path: Path, content: dict[str, Any], names: Mapping[Any, str], notes: Notes) -> list[Labelled]:
    rows: dict[Any, list[Object]] = {}
    ids = Counter(row.get('id') for row in content['images'])
    if twice := [key for key, count in ids.items() if count > 1]:
        raise InputError(f'{path}: image id {twice[0]} stands {ids[twice[0]]} times; make the ids unique')
    for row in content['annotations']:
        if not isinstance(row, dict) or row.get('image_id') not in ids:
            notes.add('annotations of no image of their file, left out', path.name)
        elif row.get('category_id') not in names:
            notes.add('annotations of no class of their file, left out', path.name)
        else:
            rows.setdefault(row['image_id'], []).append(_object(row, names[row['category_id']], path, notes))
    part = tree.part_of(path, stem=True)
    images = []
    for row in content['images']:
        name, size = str(row.get('file_name', '')), (row.get('width'), row.get('height'))
        image = tree.image(name, path)
        objects = rows.get(row.get('id'), [])
        if image is None:
            notes.add('images that are not there, left out', name)
            notes.add('objects of images that are not there, left out', count=len(objects)) if objects else None
            continue
        known = (int(size[0]), int(size[1])) if size[0] and size[1] else None
        images.append(Labelled(image, path, objects, part, known))
    return images


def _object(row: Mapping[str, Any], name: str, path: Path, notes: Notes) -> Object:
    box, mask = row.get('bbox'), _mask(row, path, notes)
    if box is not None and (not isinstance(box, list) or len(box) not in (0, 4) or not all(map(_is_number, box))):
        raise InputError(
            f'{path}: annotation {row.get("id")} has bbox {str(box)[:60]}; give [left, top, width, height]'
        )
    corners = (box[0], box[1], box[0] + box[2], box[1] + box[3]) if box else None
    return Object(name, corners, mask, bool(row.get('iscrowd')))


def _mask(row: Mapping[str, Any], path: Path, notes: Notes) -> Polygons | Rle | None:
    given = row.get('segmentation')
    if isinstance(given, dict) and 'counts' in given and 'size' in given:
        return dict(given)
    if not isinstance(given, list) or not given:
        return None
    # Some tools write the numbers of the only polygon without the list around them.
    flat = [given] if _is_number(given[0]) else given
    for polygon in flat:
        if not isinstance(polygon, list) or len(polygon) % 2 or not all(map(_is_number, polygon)):
            raise InputError(
                f'{path}: annotation {row.get("id")} has segmentation {str(polygon)[:40]}; give lists of x, y'
            )
    if short := sum(0 < len(polygon) < 6 for polygon in flat):
        notes.add('polygons of fewer than three points, left out', f'annotation {row.get("id")}', short)
    return [np.array(polygon, float).reshape(-1, 2) for polygon in flat if len(polygon) >= 6] or None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
