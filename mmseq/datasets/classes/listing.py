"""Images of classes as files: which files are images, those of a folder, and lists with a path and a class a line."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseq.datasets.sources import PICTURES
from mmseq.errors import InputError

# PIL reads these, and numpy alone the one that is left out.
SUFFIXES = PICTURES - {'.npy'}
LINE = 'expected a path and a class in each line'


@dataclass(frozen=True)
class Images:
    """Image files, each of one class.

    Args:
        paths: of the files.
        labels: the number of each one's class.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, int]]) -> 'Images':
        """From a path and a label for each."""
        rows = list(rows)
        return cls(tuple(path for path, _ in rows), tuple(label for _, label in rows))


def is_picture(path: Path) -> bool:
    """By its suffix; hidden files are none, as other systems leave them behind."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith('.')


def pictures(folder: Path) -> list[str]:
    """The images in a folder, in the order of their names."""
    return sorted(str(path) for path in folder.iterdir() if is_picture(path))


def pictures_below(folder: Path) -> Iterator[str]:
    """All images in a folder and its folders, in order."""
    for place, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        yield from (str(path) for name in sorted(files) if is_picture(path := Path(place, name)))


def class_folders(root: Path) -> list[Path]:
    """The folders in a folder that are not hidden, in the order of their names."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith('.'))


def read_lines(file: Path) -> list[tuple[int, str, str]]:
    """The lines of a list: number, path and class; with tabs the first two columns, so that either may hold spaces.

    Raises:
        InputError: it cannot be read, is empty, or has a line that is none.
    """
    try:
        texts = file.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'list {file}: is no image, and no text ({error}); {LINE}') from error
    found = []
    for line, text in enumerate(texts, 1):
        if not text.strip():
            continue
        words = text.strip().split('\t') if '\t' in text.strip() else text.rsplit(maxsplit=1)
        if len(words) < 2:
            raise InputError(f'list {file}: line {line}: {text.strip()!r:.80}: expected a path and a class')
        found.append((line, words[0].strip(), words[1].strip()))
    if not found:
        raise InputError(f'list {file}: is empty; {LINE}')
    return found


def read_list(file: Path, numbers: Mapping[str, int], count: int, folders: Sequence[Path] = ()) -> Images:
    """The images of a list.

    Args:
        file: the list.
        numbers: of what it may call a class; else it has the number itself.
        count: of the classes.
        folders: where its paths are looked for, before the list's own.

    Raises:
        InputError: see :func:`read_lines`; or a class is none of them.
    """
    places, rows = [*folders, file.parent], []
    for line, name, given in read_lines(file):
        label = numbers.get(given, int(given) if given.isdecimal() else -1)
        if not 0 <= label < count:
            raise InputError(
                f'list {file}: line {line}: {given!r:.80} is none of the {count} classes; expected a name, or a number '
                f'of 0..{count - 1}'
            )
        path = next((place / name for place in places if (place / name).is_file()), places[0] / name)
        rows.append((str(path), label))
    return Images.of(rows)
