"""What the readers of all formats give: images with objects, or with a label map, before anything is decided."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mmseq.datasets.checks.images import in_threads
from mmseq.datasets.own.card import PARTS
from mmseq.errors import InputError

Box = tuple[float, float, float, float]
Polygons = list[np.ndarray]
Rle = dict[str, Any]
Read = TypeVar('Read')


@dataclass(frozen=True)
class Object:
    """One labelled object.

    Args:
        name: of its class.
        box: left, top, right, bottom; None: that of the mask.
        mask: polygons, (points, 2) each, x first; or run lengths as pycocotools reads them, of the size of the image;
            or None.
        crowd: neither trained nor evaluated, as COCO's crowds and Pascal VOC's difficult objects.
    """

    name: str
    box: Box | None
    mask: Polygons | Rle | None = None
    crowd: bool = False


@dataclass(frozen=True)
class Labelled:
    """An image and its labels.

    Args:
        image: its file.
        labels: the file that its labels are in.
        objects: what is labelled; empty for label maps.
        part: train, val or test, if the source names it.
        size: width and height that the labels are for, if they give it.
        fractions: whether coordinates are shares of the image's width and height instead of pixels.
        embedded: the bytes of the image, where its file is absent and the labels hold them.
    """

    image: Path
    labels: Path
    objects: Sequence[Object] = ()
    part: str | None = None
    size: tuple[int, int] | None = None
    fractions: bool = False
    embedded: bytes | None = field(default=None, repr=False)


class Notes:
    """What is unusual about a source, with counts: one line for each kind."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add(self, what: str, first: str | Path = '', count: int = 1) -> None:
        """Count cases of one kind; the first example of a kind is kept."""
        self.counts[what] = self.counts.get(what, 0) + count
        self._first.setdefault(what, str(first))

    def lines(self) -> list[str]:
        """One for each kind: what, how often, the first."""
        named = {what: f', first {self._first[what]}' if self._first[what] else '' for what in self.counts}
        return [f'{what}: {count}{named[what]}' for what, count in self.counts.items()]


@dataclass(frozen=True)
class Scheme:
    """What the values of label maps mean.

    Args:
        read: from a label map's file to its classes, (H, W) bytes, 255 where none counts.
        palette: a colour for each class, where the source has them.
    """

    read: Callable[[Path], np.ndarray]
    palette: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Source:
    """All that was read.

    Args:
        format: its name.
        found: what was recognised, in words.
        classes: names in their order; those that no object has as well.
        images: those with labels.
        notes: what is unusual.
        ordered: whether later objects lie above earlier ones.
        scheme: of label maps; None: the images have objects.
    """

    format: str
    found: str
    classes: Sequence[str]
    images: Sequence[Labelled]
    notes: Notes
    ordered: bool = False
    scheme: Scheme | None = None

    def as_part(self, part: str) -> 'Source':
        """The same with all of its images in one part."""
        assert part in PARTS
        return replace(self, images=[replace(image, part=part) for image in self.images])


def read_each(paths: Iterable[Path], read: Callable[[Path], Read], what: str, threads: bool = False) -> list[Read]:
    """Read many files; those that cannot be read are counted before one line about them is raised.

    Args:
        paths: of the files.
        read: reads one of them.
        what: the files are.
        threads: whether ``read`` may run in several threads at a time.

    Raises:
        InputError: some cannot be read; says how many, and what is wrong with the first.
    """

    def read_or_fail(path: Path) -> Read | InputError:
        try:
            return read(path)
        except InputError as error:
            return error

    results = list((in_threads if threads else map)(read_or_fail, paths))
    errors = [result for result in results if isinstance(result, InputError)]
    if len(errors) > 1:
        raise InputError(f'{len(errors)} of {len(results)} {what} cannot be read; the first: {errors[0]}')
    if errors:
        raise errors[0]
    return [result for result in results if not isinstance(result, InputError)]


def union(lists: Iterable[Iterable[str]]) -> list[str]:
    """All names once, in the order in which they turn up."""
    return list(dict.fromkeys(name for names in lists for name in names))
