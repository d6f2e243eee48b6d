"""The annotations of a COCO file as arrays: what the checks read of a million objects, in a hundred bytes for each.

What is unusual, and rare in a sound file, stays as it is in the file, by its place among the annotations.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

Rows = list[dict[str, Any]]
Fields = dict[str, tuple[type, ...]]
NUMBERS = (int, float)
IDS = (int, float, str)
# Upstream reads the area of every annotation.
FIELDS: Fields = {'id': IDS, 'image_id': IDS, 'category_id': IDS, 'bbox': (list,), 'area': NUMBERS}
# Forms of masks: none, polygons of three points and more, another list, run lengths, something else.
NO_MASK, POLYGONS, LIST, RUNS, OTHER = range(5)
# The x and y of three points.
SHORTEST = 6
# In the place of a field that is not there.
ABSENT = object()
MARKS = frozenset((int, float, bool))


class IrregularError(ValueError):
    """A row is no object, lacks a field or has one of another type."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """N annotations.

    Attributes:
        ids: (N,) int64, or objects where some are no integers.
        image_ids: (N,) the same.
        category_ids: (N,) the same.
        boxes: (N, 4) left, top, width and height; not finite where there are no four numbers.
        areas: (N,) in square pixels.
        crowds: (N,) whether ``iscrowd`` is set.
        ignored: (N,) whether ``ignore`` is.
        forms: (N,) of the masks, ``NO_MASK`` to ``OTHER``.
        reach: (N, 4) left, top, right and bottom of ``POLYGONS``; not finite where a number is not, and of others.
        boxes_as_read: those that are no four numbers, by place.
        marks_as_read: ``iscrowd`` that is no number, or ``ABSENT``, by place.
        masks_as_read: masks of all other forms, by place.
    """

    ids: np.ndarray
    image_ids: np.ndarray
    category_ids: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowds: np.ndarray
    ignored: np.ndarray
    forms: np.ndarray
    reach: np.ndarray
    boxes_as_read: dict[int, Any] = field(default_factory=dict)
    marks_as_read: dict[int, Any] = field(default_factory=dict)
    masks_as_read: dict[int, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def id_at(self, place: int) -> Any:
        """An id as it is in the file."""
        value = self.ids[place]
        return value.item() if isinstance(value, np.generic) else value

    def at(self, mask: np.ndarray) -> 'Annotations':
        """Those where a mask (N,) is set."""
        place = np.cumsum(mask) - 1
        some: dict[str, Any] = {name: values[mask] for name, values in self._arrays()}
        for name, values in self._as_read():
            some[name] = {int(place[i]): value for i, value in values.items() if mask[i]}
        return Annotations(**some)

    def sides(self, images: Rows) -> np.ndarray:
        """(N, 2) width and height of the image of each annotation; NaN where the image is unknown."""
        size = {row['id']: (row['width'], row['height']) for row in images}
        unknown = (np.nan, np.nan)
        return table((size.get(image, unknown) for image in self.image_ids.tolist()), 2)

    def _arrays(self) -> list[tuple[str, np.ndarray]]:
        return [(name, values) for name, values in vars(self).items() if isinstance(values, np.ndarray)]

    def _as_read(self) -> list[tuple[str, dict[int, Any]]]:
        return [(name, values) for name, values in vars(self).items() if isinstance(values, dict)]


def joined(parts: Sequence[Annotations]) -> Annotations:
    """Annotations one after the other."""
    parts = parts or [arranged([])]
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    whole: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name, _ in parts[0]._arrays()
    }
    for name, _ in parts[0]._as_read():
        of_parts = [getattr(part, name) for part in parts]
        whole[name] = {start + i: value for start, own in zip(starts, of_parts) for i, value in own.items()}
    return Annotations(**whole)


def arranged(rows: list[Any], booleans: bool = True) -> Annotations:
    """The annotations in rows of a file.

    Args:
        rows: as JSON's reader gives them.
        booleans: there may be some, which are numbers for Python.

    Raises:
        IrregularError: see there.
    """
    count = len(rows)
    try:
        columns = {key: list(map(itemgetter(key), rows)) for key in FIELDS}
        marks = [row.get('iscrowd', ABSENT) for row in rows]
        ignored = np.fromiter(map(bool, [row.get('ignore') for row in rows]), bool, count)
    except (KeyError, TypeError, IndexError, AttributeError):
        raise IrregularError('a row is no object, or lacks a field') from None
    if any(not set(map(type, columns[key])) <= set(types) for key, types in FIELDS.items()):
        raise IrregularError('a field is of another type')
    boxes, boxes_as_read = numbered(columns['bbox'], booleans)
    forms, reach, masks_as_read = shapes([row.get('segmentation') for row in rows], booleans)
    return Annotations(
        **{f'{name}s': ids(columns[name]) for name in ('id', 'image_id', 'category_id')},
        boxes=boxes,
        areas=np.fromiter(columns['area'], float, count),
        crowds=np.fromiter([mark is not ABSENT and bool(mark) for mark in marks], bool, count),
        ignored=ignored,
        forms=forms,
        reach=reach,
        boxes_as_read=boxes_as_read,
        marks_as_read={} if MARKS.issuperset(map(type, marks)) else others(marks, lambda one: type(one) in MARKS),
        masks_as_read=masks_as_read,
    )


def others(values: Iterable[Any], usual: Callable[[Any], bool]) -> dict[int, Any]:
    """Those that are not usual, by place."""
    return {i: value for i, value in enumerate(values) if not usual(value)}


def ids(values: list[Any]) -> np.ndarray:
    """(N,) int64 where all are integers."""
    if set(map(type, values)) <= {int}:
        try:
            return np.fromiter(values, np.int64, len(values))
        except OverflowError:
            pass
    found = np.empty(len(values), object)
    found[:] = values
    return found


def numbered(boxes: list[list[Any]], booleans: bool) -> tuple[np.ndarray, dict[int, Any]]:
    """(N, 4) boxes, and those that are no four numbers, by place."""
    numbers = array('d')
    wrong: dict[int, Any] = {}
    for i, box in enumerate(boxes):
        if len(box) != 4 or (booleans and bool in map(type, box)) or not take(numbers, box):
            wrong[i] = box
            numbers.extend((np.nan,) * 4)
    return np.frombuffer(numbers).reshape(-1, 4), wrong


def shapes(masks: list[Any], booleans: bool) -> tuple[np.ndarray, np.ndarray, dict[int, Any]]:
    """Forms (N,) of masks, reach (N, 4), and masks that are neither nothing nor polygons, by place."""
    forms, numbers, ends = np.zeros(len(masks), np.int8), array('d'), []
    as_read: dict[int, Any] = {}
    for i, mask in enumerate(masks):
        if not mask:
            continue
        kind = type(mask)
        if kind is list and not (booleans and has_booleans(mask)) and take_polygons(numbers, mask):
            forms[i] = POLYGONS
            ends.append(len(numbers))
        else:
            forms[i] = LIST if kind is list else RUNS if kind is dict else OTHER
            as_read[i] = mask
    reach = np.full((len(masks), 4), np.nan)
    reach[forms == POLYGONS] = reaches(np.frombuffer(numbers), np.array(ends, np.int64))
    return forms, reach, as_read


def has_booleans(mask: list[Any]) -> bool:
    """Whether polygons hold some."""
    return any(type(polygon) is list and bool in map(type, polygon) for polygon in mask)


def take(numbers: 'array[float]', values: list[Any]) -> bool:
    """Append a list of numbers; nothing, where something else is in it."""
    before = len(numbers)
    try:
        numbers.fromlist(values)
    except (TypeError, OverflowError):
        del numbers[before:]
        return False
    return True


def take_polygons(numbers: 'array[float]', mask: list[Any]) -> bool:
    """Append polygons of three points and more; nothing, where they are none."""
    before = len(numbers)
    for polygon in mask:
        whole = type(polygon) is list and len(polygon) >= SHORTEST and not len(polygon) % 2
        if not (whole and take(numbers, polygon)):
            del numbers[before:]
            return False
    return True


def reaches(numbers: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(N, 4) corners around the polygons of each mask.

    Args:
        numbers: (2 P,) x and y of the points of all masks.
        ends: (N,) where the numbers of each mask end; every mask has a point.
    """
    if not len(ends):
        return np.zeros((0, 4))
    starts = np.concatenate([[0], ends[:-1]]) // 2
    x, y = np.ascontiguousarray(numbers[::2]), np.ascontiguousarray(numbers[1::2])
    return np.stack([extreme.reduceat(side, starts) for extreme in (np.minimum, np.maximum) for side in (x, y)], 1)


def table(rows: Iterable[Sequence[float]], columns: int) -> np.ndarray:
    """Rows of numbers as an array (rows, columns); numpy takes seconds for a million small lists."""
    return np.fromiter(chain.from_iterable(rows), np.float64).reshape(-1, columns)
