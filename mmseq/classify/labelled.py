"""Images with their classes: folders named as the classes, lists, and ImageNet-C's corruptions at five severities."""

from pathlib import Path
from typing import Literal

from mmseq.classify.classes import Classes
from mmseq.datasets.classes import listing
from mmseq.datasets.classes.listing import Images, class_folders, is_picture, pictures, pictures_below
from mmseq.errors import InputError

SEVERITIES = ('1', '2', '3', '4', '5')
Kind = Literal['images', 'folders', 'list', 'corruptions']


def kind_of(path: Path) -> Kind:
    """What a path holds.

    Returns:
        ``images`` for an image or a folder that has some, ``list`` for a text file, ``corruptions`` for folders with
        folders 1 to 5, ``folders`` for other folders.

    Raises:
        InputError: nothing of all this.
    """
    if path.is_file():
        return 'images' if is_picture(path) else 'list'
    if not path.is_dir():
        raise InputError(f'{path}: no such file or folder')
    if pictures(path):
        return 'images'
    folders = class_folders(path)
    if not folders:
        raise InputError(f'{path}: neither images in it nor folders of classes')
    return 'corruptions' if all((item / SEVERITIES[0]).is_dir() for item in folders) else 'folders'


def images_of(path: Path) -> list[str]:
    """An image, or those in a folder."""
    return [str(path)] if path.is_file() else pictures(path)


def read_folders(root: Path, classes: Classes) -> Images:
    """Class folders, named as the classes or their synsets, else as many as classes and in the order of their names.

    Raises:
        InputError: folders that stand for no class, or no image.
    """
    folders = class_folders(root)
    strange = [item.name for item in folders if item.name not in classes.places]
    if strange and len(folders) != len(classes.names):
        raise InputError(
            f'{root}: {len(folders)} folders, of which {strange[0]} is none of the {len(classes.names)} classes; name '
            'folders as the classes (synsets such as n01440764 for ImageNet), or give --classes FILE'
        )
    numbers = [place if strange else classes.places[item.name] for place, item in enumerate(folders)]
    found = Images.of((path, number) for item, number in zip(folders, numbers) for path in pictures_below(item))
    if not found.paths:
        raise InputError(f'{root}: no images in its folders')
    return found


def read_list(file: Path, classes: Classes) -> Images:
    """A text file with an image and its class, by number or name, in each line; paths are from the file's folder.

    Raises:
        InputError: it cannot be read, or a line of it is neither.
    """
    return listing.read_list(file, classes.places, len(classes.names))
