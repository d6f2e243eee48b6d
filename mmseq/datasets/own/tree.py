"""The files below what a user points at, and finding an image among them by the name that labels give it."""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from urllib.parse import unquote

from mmseq.datasets.sources import PICTURES
from mmseq.errors import InputError

PART = re.compile(r'(?<![a-z])(?:(train|training)|(val|valid|validation|dev)|(test|testing))(?![a-z])')
NAMES = ('train', 'val', 'test')
# Folders of labels alone: the images are looked for one folder further up.
BESIDE = frozenset(('annotation', 'annotations', 'label', 'labels', 'json', 'jsons', 'xml', 'xmls', 'coco'))
FOREIGN = frozenset(('__MACOSX', '__pycache__'))


class Tree:
    """The files below some sources, without what is hidden.

    Args:
        sources: folders, and files of labels; of a file, the images of its folder are looked at.
        without: a folder that is left out, such as the one to be written.

    Attributes:
        images: image files, by suffix.
        others: all other files.

    Raises:
        InputError: a source is not there, or nothing is in it.
    """

    def __init__(self, sources: Sequence[str | Path], without: Path | None = None) -> None:
        self.sources = [Path(os.path.abspath(source)) for source in sources]
        # As the user wrote them: messages name them so.
        self.named = ' '.join(map(str, sources))
        self.roots: list[Path] = []
        found: dict[Path, None] = {}
        for source in self.sources:
            if not source.exists():
                raise InputError(f'{source}: no such file or folder')
            root = source if source.is_dir() else _folder_of_images(source)
            self.roots.append(root)
            below = list(walk(root, without))
            if source.is_file():
                # Other labels beside the one that was named are not meant.
                texts = source.suffix.lower() in ('.yaml', '.yml')
                below = [path for path in below if is_image(path) or (texts and path.suffix == '.txt')] + [source]
            found |= dict.fromkeys(below)
        self.images = [path for path in found if is_image(path)]
        self.others = [path for path in found if not is_image(path)]
        if not found:
            raise InputError(f'{self.named}: the folder is empty; give one with images and labels')
        self._by_name: dict[str, list[Path]] = {}
        for path in self.images:
            self._by_name.setdefault(_folded(path.name), []).append(path)
        self._by_stem: dict[str, list[Path]] = {}
        for path in self.images:
            self._by_stem.setdefault(_folded(path.stem), []).append(path)

    def ending(self, *suffixes: str) -> list[Path]:
        """The files that are no images and have one of the suffixes."""
        return [path for path in self.others if path.suffix.lower() in suffixes]

    def relative(self, path: Path) -> PurePosixPath:
        """A file's path below the folder that holds its source: the source's own name comes first."""
        root = next((root for root in self.roots if path.is_relative_to(root)), path.parent)
        return PurePosixPath(path.relative_to(root.parent).as_posix())

    def part_of(self, path: Path, stem: bool = False) -> str | None:
        """The part that the nearest folder is called after, or with ``stem`` the file itself."""
        *folders, name = self.relative(path).parts
        for text in ([PurePosixPath(name).stem] if stem else []) + folders[::-1]:
            if (part := part_in(text)) is not None:
                return part
        return None

    def image(self, name: str, near: Path, stem: bool = False) -> Path | None:
        """The image that a file of labels names.

        Args:
            name: a path or file name, of any system, also one of another machine; or an address.
            near: the file of labels.
            stem: whether an image of the same name with another suffix will do.

        Returns:
            The image beside the labels, or the one that has most of the named folders and lies nearest, or None.
        """
        plain = unquote(name)
        # Label Studio names local files as /data/local-files/?d=FILE; other addresses may have a query.
        for text in dict.fromkeys((name, plain, plain.rpartition('?d=')[2].partition('?')[0])):
            wanted = PurePosixPath(text.replace('\\', '/'))
            direct = Path(os.path.abspath(near.parent / wanted))
            if is_image(direct) and direct.is_file():
                return direct
            found = self._by_name.get(_folded(wanted.name))
            if not found and stem:
                found = self._by_stem.get(_folded(wanted.stem))
            if found:
                return max(found, key=lambda path: (_same_end(path.parts, wanted.parts), *self._nearness(path, near)))
        return None

    def _nearness(self, path: Path, near: Path) -> tuple[bool, int]:
        same_part = self.part_of(path) == (self.part_of(near, stem=True) or self.part_of(near))
        return same_part, len(os.path.commonpath([path, near]))


def walk(root: Path, without: Path | None = None) -> Iterator[Path]:
    """All files below a folder in the order of their names, through links, without what is hidden."""
    without = without and Path(os.path.realpath(without))
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        # A link may lead to a folder above itself.
        if real in seen or Path(real) == without:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith('.') and name not in FOREIGN)
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith('.'))


def is_image(path: Path) -> bool:
    """Whether a file is an image by its suffix."""
    return path.suffix.lower() in PICTURES


def part_in(text: str) -> str | None:
    """The part that a name tells of, as ``train2017`` or ``my_valid``."""
    found = PART.search(text.lower())
    return NAMES[(found.lastindex or 1) - 1] if found else None


def kinds(paths: Collection[Path]) -> str:
    """How many files there are of each suffix, the most frequent first."""
    counts: dict[str, int] = {}
    for path in paths:
        counts[path.suffix.lower() or 'no suffix'] = counts.get(path.suffix.lower() or 'no suffix', 0) + 1
    return ', '.join(f'{count} {suffix}' for suffix, count in sorted(counts.items(), key=lambda row: -row[1])[:6])


def _folder_of_images(labels: Path) -> Path:
    """The folder where the images of one file of labels are looked for."""
    return labels.parent.parent if labels.parent.name.lower() in BESIDE else labels.parent


def _folded(name: str) -> str:
    """A name without capitals, with each accent in its letter: macOS writes them apart."""
    return normalize('NFC', name).lower()


def _same_end(path: Sequence[str], wanted: Sequence[str]) -> int:
    """How many names two paths have in common, from the end."""
    count = 0
    for one, other in zip(reversed(path), reversed(wanted)):
        if one.lower() != other.lower():
            break
        count += 1
    return count
