"""Images with their classes: folders named as the classes, lists, and ImageNet-C's corruptions at five severities."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmseq.classify.classes import Classes
from mmseq.errors import InputError

SUFFIXES = frozenset(('.jpeg', '.jpg', '.png', '.webp', '.bmp', '.tif', '.tiff', '.gif', '.ppm'))
SEVERITIES = ('1', '2', '3', '4', '5')
Kind = Literal['images', 'folders', 'list', 'corruptions']


@dataclass(frozen=True)
class Labelled:
    """Files, and the number of the class of each."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]


def is_image(path: Path) -> bool:
    """By its suffix."""
    return path.suffix.lower() in SUFFIXES


def kind_of(path: Path) -> Kind:
    """What a path holds.

    Returns:
        ``images`` for an image or a folder that has some, ``list`` for a text file, ``corruptions`` for folders with
        folders 1 to 5, ``folders`` for other folders.

    Raises:
        InputError: nothing of all this.
    """
    if path.is_file():
        return 'images' if is_image(path) else 'list'
    if not path.is_dir():
        raise InputError(f'{path}: no such file or folder')
    inside = sorted(path.iterdir())
    if any(is_image(item) for item in inside):
        return 'images'
    folders = [item for item in inside if item.is_dir()]
    if not folders:
        raise InputError(f'{path}: neither images in it nor folders of classes')
    return 'corruptions' if all((item / SEVERITIES[0]).is_dir() for item in folders) else 'folders'


def images_below(folder: Path) -> Iterator[Path]:
    """All images in a folder and its folders, in order."""
    for place, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        yield from (path for name in sorted(files) if is_image(path := Path(place, name)))


def images_of(path: Path) -> list[Path]:
    """An image, or those in a folder."""
    return [path] if path.is_file() else sorted(item for item in path.iterdir() if is_image(item))


def read_folders(root: Path, classes: Classes) -> Labelled:
    """Class folders, named as the classes or their synsets, else as many as classes and in the order of their names.

    Raises:
        InputError: folders that stand for no class, or no image.
    """
    folders = sorted(item for item in root.iterdir() if item.is_dir())
    strange = [item.name for item in folders if item.name not in classes.places]
    if strange and len(folders) != len(classes.names):
        raise InputError(
            f'{root}: {len(folders)} folders, of which {strange[0]} is none of the {len(classes.names)} classes; name '
            'folders as the classes (synsets such as n01440764 for ImageNet), or give --classes FILE'
        )
    numbers = [place if strange else classes.places[item.name] for place, item in enumerate(folders)]
    found = [(path, number) for item, number in zip(folders, numbers) for path in images_below(item)]
    if not found:
        raise InputError(f'{root}: no images in its folders')
    return Labelled(*zip(*found))


def read_list(file: Path, classes: Classes) -> Labelled:
    """A text file with an image and its class, by number or name, in each line; paths are from the file's folder.

    Raises:
        InputError: it cannot be read, or a line of it is neither.
    """
    try:
        lines = file.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'{file}: is no image, and no list of images ({error})') from error
    found = [entry(file, number, line, classes) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise InputError(f'{file}: is an empty list; expected an image and its class in each line')
    return Labelled(*zip(*found))


def entry(file: Path, number: int, line: str, classes: Classes) -> tuple[Path, int]:
    """One line of a list, with a tab or else a space before the class."""
    parts = line.strip().rsplit('\t' if '\t' in line.strip() else None, 1)
    if len(parts) != 2:
        raise InputError(f'{file}, line {number}: {line.strip()!r:.80}: expected an image and its class')
    label = classes.places.get(parts[1].strip(), int(parts[1]) if parts[1].strip().isdecimal() else -1)
    if not 0 <= label < len(classes.names):
        raise InputError(
            f'{file}, line {number}: {parts[1].strip()!r:.80} is none of the classes; expected a name, or a number '
            f'of 0..{len(classes.names) - 1}'
        )
    return file.parent / parts[0].strip(), label
