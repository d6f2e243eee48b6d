"""Where the images of classes are: folders of classes, lists of paths with labels, and the layouts of ImageNet's kin.

- ``DATA/train/CLASS/*.jpg`` and ``DATA/val/CLASS/*.jpg``; Tiny ImageNet's ``CLASS/images/*.jpg`` as well.
- ``DATA/val/*.jpg`` or ``DATA/val/images/*.jpg`` with a list of a name and a class in each line, the class as its name
  or as its number: ``val/val_annotations.txt``, ``val.txt``, ``meta/val.txt`` or ``val/val.txt``.
- ``DATA/CLASS/*.jpg``, and lists ``DATA.txt`` of lines ``PATH CLASS``: a tenth of every class is for validation, unless
  ``val.txt`` stands beside ``train.txt``.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmseq.datasets.classes.listing import Images, class_folders, pictures, read_lines, read_list
from mmseq.errors import InputError

Part = Literal['train', 'val']
VAL_FOLDERS = ('val', 'validation', 'valid', 'test')
VAL_LISTS = ('val/val_annotations.txt', 'val.txt', 'meta/val.txt', 'val/val.txt')
# One of so many images of every class is for validation where nobody says which.
HELD_OUT = 10
WANTED = 'expected folders DATA/train/CLASS/*.jpg and DATA/val/CLASS/*.jpg, DATA/CLASS/*.jpg, or a list of PATH CLASS'


@dataclass(frozen=True)
class Classes:
    """A data set of images with one class each.

    Args:
        names: of the classes, in the order of their numbers.
        train: the images to train on.
        val: the images for validation.
        notes: what is to be told of how they were found.
    """

    names: tuple[str, ...]
    train: Images
    val: Images
    notes: tuple[str, ...] = ()

    def part(self, name: Part) -> Images:
        """The images of a part."""
        return self.train if name == 'train' else self.val


def read_classes(data: str) -> Classes:
    """Find the images and classes of a folder or a list.

    Raises:
        InputError: nothing is there, there are no classes or one, too few images, or a list has a line that is none.
    """
    root = Path(data)
    if root.is_file():
        found = _from_list(root)
    elif root.is_dir():
        found = _from_folder(root)
    else:
        raise InputError(f'data {data}: no such folder or list; {WANTED}')
    _check(found, data)
    return found


def _check(found: Classes, data: str) -> None:
    count = len(found.train.paths)
    if len(found.names) < 2:
        listed = f': {found.names[0]}' if found.names else ''
        raise InputError(f'data {data}: {len(found.names)} class{listed}; a classifier needs two or more. {WANTED}')
    if count < 2 or not found.val.paths:
        raise InputError(
            f'data {data}: {count} images to train on and {len(found.val.paths)} for validation; at least 2 and 1 are '
            'needed, and one tenth of every class is kept for validation where no part is'
        )
    empty = [name for number, name in enumerate(found.names) if number not in set(found.train.labels)]
    if empty:
        raise InputError(f'data {data}: {len(empty)} classes have no image to train on, first {empty[0]}; remove them')


def _from_folder(root: Path) -> Classes:
    if not (root / 'train').is_dir():
        classes = _class_folders(root)
        if not classes and (root / 'train.txt').is_file():
            return _from_list(root / 'train.txt')
        if not classes:
            raise InputError(f'data {root}: no folder of a class with images in it; {WANTED}')
        return _split(tuple(classes), _labelled(classes, tuple(classes)))
    classes = _class_folders(root / 'train')
    if not classes:
        raise InputError(f'data {root / "train"}: no folder of a class with images in it; {WANTED}')
    names = tuple(classes)
    train = _labelled(classes, names)
    val = _validation(root, names)
    return _split(names, train) if val is None else Classes(names, train, val)


def _class_folders(root: Path) -> dict[str, list[str]]:
    """The files of each class that has any, in the order of their names."""
    found = {}
    for folder in class_folders(root):
        files = pictures(folder) or (pictures(folder / 'images') if (folder / 'images').is_dir() else [])
        if files:
            found[folder.name] = files
    return found


def _labelled(classes: dict[str, list[str]], names: Sequence[str]) -> Images:
    numbers = {name: number for number, name in enumerate(names)}
    return Images.of((path, numbers[name]) for name, paths in classes.items() for path in paths)


def _validation(root: Path, names: tuple[str, ...]) -> Images | None:
    """The part for validation; None where there is no folder of it."""
    folder = next((root / name for name in VAL_FOLDERS if (root / name).is_dir()), None)
    if folder is None:
        return None
    for name in VAL_LISTS:
        if (root / name).is_file():
            return _listed(root / name, names, folder)
    classes = _class_folders(folder)
    unknown = [name for name in classes if name not in names]
    if unknown:
        raise InputError(
            f'data {folder}: {len(unknown)} classes that {root / "train"} has not, first {unknown[0]}; or give the '
            f'labels as a list in {root / VAL_LISTS[1]}'
        )
    return _labelled(classes, names)


def _listed(file: Path, names: tuple[str, ...], folder: Path) -> Images:
    """The images of a list, each in the folder, in its ``images``, or where the list is."""
    places = [place for place in (folder, folder / 'images') if place.is_dir()]
    return read_list(file, {name: number for number, name in enumerate(names)}, len(names), places)


def _from_list(file: Path) -> Classes:
    given = [name for _, _, name in read_lines(file)]
    numbered = all(word.isdecimal() for word in given)
    names = tuple(map(str, range(max(map(int, given)) + 1))) if numbered else tuple(sorted(set(given)))
    train, beside = _listed(file, names, file.parent), file.with_name('val.txt')
    if file.name == 'train.txt' and beside.is_file():
        return Classes(names, train, _listed(beside, names, file.parent))
    return _split(names, train)


def _split(names: tuple[str, ...], images: Images) -> Classes:
    """Keep a tenth of every class for validation, one image at least of a class of two or more; always the same."""
    by_class: dict[int, list[str]] = {}
    for path, label in zip(images.paths, images.labels):
        by_class.setdefault(label, []).append(path)
    train, val = [], []
    for label, paths in by_class.items():
        order = sorted(paths, key=lambda path: hashlib.blake2b(Path(path).name.encode(), digest_size=8).digest())
        count = max(1, len(order) // HELD_OUT) if len(order) > 1 else 0
        val += [(path, label) for path in order[:count]]
        train += [(path, label) for path in sorted(order[count:])]
    note = f'no part for validation: {len(val)} of {len(images.paths)} images are kept for it, a tenth of every class'
    return Classes(names, Images.of(train), Images.of(val), (note,))
