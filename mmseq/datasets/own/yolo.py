"""YOLO folders: a text file for each image, a row for each object, in shares of the image's width and height.

A row is ``class x y width height`` with the middle of a box, or ``class x y x y x y ...`` with a polygon. Names,
folders and parts stand in data.yaml, as Ultralytics reads it; without one, names in classes.txt or obj.names.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmseq.datasets.own.geometry import box_of_points, rectangle
from mmseq.datasets.own.source import Labelled, Notes, Object, Source, read_each
from mmseq.datasets.own.text import read_lines, read_text, read_yaml
from mmseq.datasets.own.tree import Tree, is_image
from mmseq.errors import InputError

NAME = 'YOLO'
# Without data.yaml, a list of names by one of these.
NAME_LISTS = ('classes.txt', 'obj.names', 'class_names.txt', '_darknet.labels', 'labels.txt', 'predefined_classes.txt')
PARTS = {'train': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val', 'test': 'test'}
# Rounding leaves corners this far outside.
ROUNDING = 0.01


@dataclass(frozen=True)
class Found:
    """What there is of a YOLO data set.

    Args:
        config: data.yaml, or None.
        names: the list of names, or None.
        rows: files of rows by the stem of their image.
    """

    config: Path | None
    names: Path | None
    rows: list[Path]

    def __bool__(self) -> bool:
        return bool(self.config or self.rows)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Row:
    """One row: the class's number, and either a box as middle and size, or a polygon (N, 2)."""

    number: int
    box: tuple[float, ...] | None
    points: np.ndarray | None


def find(tree: Tree) -> Found:
    """The config, the names, and the files of rows."""
    configs = [path for path in tree.ending('.yaml', '.yml') if _is_config(path)]
    if len(configs) > 1:
        raise InputError(f'{configs[0]} and {configs[1]}: both name YOLO classes; give the one that is meant')
    stems = {path.stem.lower() for path in tree.images}
    texts = [path for path in tree.ending('.txt') if path.name.lower() not in NAME_LISTS]
    rows = [path for path in texts if (path.stem.lower() in stems or _in_labels(tree, path)) and _has_rows(path)]
    named = [path for name in NAME_LISTS for path in tree.others if path.name.lower() == name]
    if rows and all(path.stat().st_size == 0 for path in rows) and not configs:
        rows = []
    return Found(configs[0] if configs else None, named[0] if named and rows else None, rows)


def read(tree: Tree, found: Found, classes: Sequence[str]) -> Source:
    """Read the rows of all images.

    Raises:
        InputError: there are no names, rows are malformed, or boxes are oriented.
    """
    notes = Notes()
    config = read_yaml(found.config) if found.config else {}
    names = _names(found, config, classes, tree)
    images = _images(tree, found, config, notes)
    by_stem = _by_stem(found.rows)
    by_image = {image: _rows_of(image, by_stem) for image in images}
    files = [path for path in by_image.values() if path]
    keypoints = 'kpt_shape' in config
    table = dict(zip(files, read_each(files, lambda path: _rows(path, len(names), keypoints), 'label files')))
    oriented = _refuse_oriented(table)
    labelled = []
    for image, path in by_image.items():
        if path is None:
            notes.add('images without a label file, taken as images without objects', image.name)
        rows = table[path] if path else []
        objects = [_object(row, names, oriented) for row in rows]
        labelled.append(Labelled(image, path or image, objects, images[image], fractions=True))
    if alone := [path for path in found.rows if path not in set(files)]:
        notes.add('label files of no image that is taken, left out', alone[0].name, len(alone))
    if keypoints:
        notes.add('objects with keypoints, of which the boxes are taken', count=sum(map(len, table.values())))
    where = f'{found.config.name}, ' if found.config else f'{found.names.name}, ' if found.names else ''
    return Source(NAME, f'{where}{len(files)} label files', names, labelled, notes)


def _in_labels(tree: Tree, path: Path) -> bool:
    return 'labels' in (folder.lower() for folder in tree.relative(path).parts[:-1])


def _is_config(path: Path) -> bool:
    try:
        content = read_yaml(path)
    except InputError:
        # Whatever else lies in a folder is not asked to be sound, unless it is called like the config.
        if path.stem.lower() in ('data', 'dataset'):
            raise
        return False
    return isinstance(content.get('names'), (list, dict)) and bool({'train', 'val', 'path', 'nc'} & set(content))


def _has_rows(path: Path) -> bool:
    """Whether a text is empty or begins with a row of numbers."""
    with path.open('rb') as file:
        words = file.readline(1 << 16).split()
    if not words:
        return path.stat().st_size < 8
    try:
        return len(words) >= 5 and bool(np.isfinite([float(word) for word in words]).all())
    except ValueError:
        return False


def _names(found: Found, config: Mapping[str, Any], classes: Sequence[str], tree: Tree) -> list[str]:
    names = config.get('names')
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise InputError(f'{found.config}: names has the numbers {sorted(names)[:6]}; number them from 0 on')
        names = [names[k] for k in range(len(names))]
    if names is None:
        names = read_lines(found.names) if found.names else list(classes)
    if not names:
        raise InputError(
            f'{tree.named}: YOLO labels, but no names: add data.yaml or classes.txt, or give --classes in their order'
        )
    names = [str(name).strip() for name in names]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f'{found.config or found.names}: names has {twice!r} twice; give each class a name of its own')
    return names


def _images(tree: Tree, found: Found, config: Mapping[str, Any], notes: Notes) -> dict[Path, str | None]:
    """Images and their parts: as the config says, else as the folders are called."""
    images: dict[Path, str | None] = {}
    for key, part in PARTS.items():
        given = config.get(key)
        for entry in given if isinstance(given, list) else [given] if given else []:
            assert found.config is not None
            below = _resolve(str(entry), found.config, config, tree)
            if below is None:
                notes.add('parts that data.yaml names and that are not there, left out', f'{key}: {entry}')
                continue
            for image in _below(below, tree, notes):
                if images.setdefault(image, part) != part:
                    # Some name one folder for training and validation: it is split like any other.
                    images[image] = None
    images = images or {image: tree.part_of(image) for image in _labelled(tree, found)}
    if not images:
        raise InputError(f'{tree.named}: YOLO labels, but no images; give their folder as well')
    return images


def _labelled(tree: Tree, found: Found) -> list[Path]:
    """The images in folders of which one has rows: others may be drawings of results."""
    by_stem = _by_stem(found.rows)
    folders = {image.parent for image in tree.images if _rows_of(image, by_stem)}
    return [image for image in tree.images if image.parent in folders]


def _resolve(entry: str, file: Path, config: Mapping[str, Any], tree: Tree) -> Path | None:
    """The folder or list that data.yaml names, wherever it was written."""
    names = [name for name in entry.replace('\\', '/').split('/') if name not in ('', '.')]
    root = Path(str(config.get('path') or '.').replace('\\', '/'))
    bases = [file.parent / root, file.parent, file.parent / root.name]
    # Services name folders from one beside data.yaml, and others by their place on another machine.
    inner = [name for name in names if name != '..']
    for tail in [names, *(inner[k:] for k in range(len(inner)))]:
        for base in bases:
            path = (base / '/'.join(tail)).resolve()
            if path.is_dir() or path.is_file():
                return path
    return Path(entry) if Path(entry).is_absolute() and Path(entry).exists() else None


def _below(path: Path, tree: Tree, notes: Notes) -> Iterator[Path]:
    """The images in a folder, or those that a list names."""
    if path.is_dir():
        inside = [image for image in tree.images if image.resolve().is_relative_to(path)]
        yield from inside or (image for image in sorted(path.rglob('*')) if is_image(image))
        return
    for line in read_lines(path):
        image = tree.image(line, path)
        if image is None:
            notes.add('images that are not there, left out', line)
        else:
            yield image


def _by_stem(paths: Sequence[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(path.stem, []).append(path)
    return found


def _rows_of(image: Path, rows: Mapping[str, Sequence[Path]]) -> Path | None:
    """The label file of an image: in labels beside images, or beside the image, or the only one so called."""
    parts = list(image.with_suffix('.txt').parts)
    for k in range(len(parts) - 2, -1, -1):
        if parts[k].lower() in ('images', 'imgs', 'img', 'jpegimages'):
            beside = Path(*parts[:k], 'labels', *parts[k + 1 :])
            if beside.is_file():
                return beside
    if image.with_suffix('.txt').is_file():
        return image.with_suffix('.txt')
    named = rows.get(image.stem, [])
    return named[0] if len(named) == 1 else None


def _rows(path: Path, classes: int, keypoints: bool) -> list[Row]:
    lines = enumerate(read_text(path).splitlines(), 1)
    return [_row(line.split(), f'{path}:{k}', classes, keypoints) for k, line in lines if line.strip()]


def _row(words: Sequence[str], where: str, classes: int, keypoints: bool) -> Row:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise InputError(f'{where}: {" ".join(words)[:60]!r} is no row of numbers; correct it') from None
    number, coordinates = int(numbers[0]), numbers[1:5] if keypoints else numbers[1:]
    if number != numbers[0] or not 0 <= number < classes:
        raise InputError(f'{where}: class {words[0]}, but there are {classes} names, from 0 to {classes - 1}; add it')
    if len(coordinates) < 4 or len(coordinates) % 2:
        raise InputError(f'{where}: {len(words)} numbers; expected class x y width height, or class and a polygon')
    if wrong := [value for value in coordinates if not -ROUNDING <= value <= 1 + ROUNDING]:
        raise InputError(f'{where}: {wrong[0]:g} is no share of the image from 0 to 1; divide by its size')
    if len(coordinates) == 4:
        return Row(number, tuple(coordinates), None)
    return Row(number, None, np.array(coordinates).reshape(-1, 2))


def _refuse_oriented(table: Mapping[Path, Sequence[Row]]) -> bool:
    """Whether every row has four points, upright ones, which are boxes.

    Raises:
        InputError: they are not upright: oriented boxes.
    """
    rows = [(path, row) for path, rows in table.items() for row in rows]
    if not rows or not all(row.points is not None and len(row.points) == 4 for _, row in rows):
        return False
    for path, row in rows:
        assert row.points is not None
        corners = {tuple(corner) for corner in rectangle(box_of_points(row.points)).round(4).tolist()}
        if {tuple(corner) for corner in row.points.round(4).tolist()} != corners:
            raise InputError(
                f'{path}: all {len(rows)} objects are four points, which are oriented boxes and are not read; export '
                'upright boxes or polygons'
            )
    return True


def _object(row: Row, names: Sequence[str], four_corners: bool) -> Object:
    if row.points is not None:
        return Object(names[row.number], box_of_points(row.points), None if four_corners else [row.points])
    assert row.box is not None
    x, y, width, height = row.box
    return Object(names[row.number], (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
