"""The classes of a classifier: what they are called when shown, and in folders and lists."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseq.errors import InputError

IMAGENET = 1000


@dataclass(frozen=True)
class Classes:
    """Names in the order of a classifier's outputs.

    Args:
        names: to be shown.
        places: the numbers of what folders and lists may call them.
    """

    names: tuple[str, ...]
    places: Mapping[str, int] = field(default_factory=dict)


def find_classes(count: int, file: Path | None = None, own: tuple[str, ...] = ()) -> Classes:
    """The classes of a classifier with so many.

    Args:
        count: its outputs.
        file: a name a line, in the order of the outputs.
        own: what its checkpoint names.

    Returns:
        Those of the file, else its own, else ImageNet's for 1000, else numbers.

    Raises:
        InputError: the file cannot be read or has another number of names, or timm is needed and absent.
    """
    names = read_names(file) if file else own
    if file and len(names) != count:
        raise InputError(f'--classes {file}: {len(names)} names, and the weights have {count} classes')
    if len(names) == count:
        return Classes(tuple(names), {name: place for place, name in enumerate(names)})
    return imagenet() if count == IMAGENET else Classes(tuple(f'class {place}' for place in range(count)))


def read_names(file: Path) -> tuple[str, ...]:
    """The lines of a text file.

    Raises:
        InputError: it cannot be read, is empty, or names a class twice.
    """
    try:
        names = tuple(line.strip() for line in file.read_text(encoding='utf-8').splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'--classes {file}: cannot be read ({error}); expected a name in each line, UTF-8') from error
    doubled = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if doubled is not None or not names:
        raise InputError(f'--classes {file}: {f"names {doubled!r} twice" if names else "is empty"}')
    return names


def imagenet() -> Classes:
    """ImageNet-1k's, by name and by synset, as timm lists them.

    Raises:
        InputError: timm is not installed.
    """
    try:
        from timm.data.imagenet_info import ImageNetInfo
    except ModuleNotFoundError as error:
        raise InputError(
            "the names of ImageNet's classes come from timm, which is not installed: pip install 'mmseq[timm]', or "
            'give --classes FILE with a name in each line'
        ) from error
    # Its methods have no types.
    info: Any = ImageNetInfo()
    synsets = info.label_names()
    names = tuple(info.index_to_description(place) for place in range(len(synsets)))
    return Classes(names, {synset: place for place, synset in enumerate(synsets)})
