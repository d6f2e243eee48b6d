"""Which classes a model takes for which: the confusion matrix of an evaluation as a picture and as a list of pairs."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmseq.errors import InputError

FILE = 'confusion_matrix.csv'
# Of a normal distribution: 95 % are within so many deviations.
_DEVIATIONS = 1.96


@dataclass(frozen=True)
class Confusion:
    """Counts of an evaluation.

    Attributes:
        classes: K names; of objects, the background is not among them.
        counts: (K, K) int64 of pixels, rows are the truth; of objects (K + 1, K + 1), where the last column counts
            objects that were not found and the last row detections where there is no object.
        objects: whether objects were counted.
    """

    classes: tuple[str, ...]
    counts: np.ndarray
    objects: bool

    @property
    def shares(self) -> np.ndarray:
        """The counts as shares of their row; NaN in rows that count nothing."""
        totals = self.counts.sum(axis=1, keepdims=True)
        return np.where(totals > 0, self.counts / np.maximum(totals, 1), np.nan)

    @property
    def between(self) -> np.ndarray:
        """(K, K) counts without the background."""
        return self.counts[: len(self.classes), : len(self.classes)]

    @property
    def accuracy(self) -> float:
        """The share of pixels that have their class, or of objects that were found as what they are; 0 of none."""
        total = self.counts[: len(self.classes)].sum()
        return float(self.between.trace() / total) if total else 0.0


def find_confusion(path: Path) -> Path:
    """The table itself, or that of a work dir.

    Raises:
        InputError: there is none.
    """
    found = path / FILE if path.is_dir() else path
    if not found.is_file():
        advice = 'evaluations write it: give the work dir of a training or a test' * path.is_dir()
        raise InputError(f'{found}: no such file' + (f'; {advice}' if advice else ''))
    return found


def read_confusion(path: Path) -> Confusion:
    """Read a table that an evaluation has written.

    Raises:
        InputError: it is no square table of counts under its classes, or counts nothing.
    """
    with path.open(newline='', encoding='utf-8', errors='replace') as file:
        header, *rows = list(csv.reader(file)) or [[]]
    classes = header[1:]
    try:
        counts = np.array([[int(cell) for cell in row[1:]] for row in rows if row], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(f'{path}: {error}; expected counts below the names of classes') from error
    if len(classes) < 2 or [row[0] for row in rows if row] != classes or counts.min() < 0:
        raise InputError(f'{path}: no confusion matrix; expected the same classes in the first row and column')
    if not counts.any():
        raise InputError(f'{path}: counts nothing, so there is nothing to show')
    # a class of that name may stand last in a segmentation, but there it is right now and then
    objects = classes[-1] == 'background' and counts[-1, -1] == 0
    return Confusion(tuple(classes[:-1] if objects else classes), counts, objects)


def confused_pairs(confusion: Confusion, by: str = 'share') -> list[dict[str, Any]]:
    """Pairs of classes of which one is taken for the other, the worst first, without the background.

    Args:
        confusion: of an evaluation.
        by: ``share`` of the true class, or rather what it is at least (see :func:`at_least`), or ``count``.

    Returns:
        ``truth``, ``prediction``, ``share``, ``count`` and ``truth_count`` of each.
    """
    totals = confusion.counts.sum(axis=1)
    wrong = confusion.between * (1 - np.eye(len(confusion.classes), dtype=np.int64))
    pairs = [
        dict(
            truth=confusion.classes[i],
            prediction=confusion.classes[j],
            share=float(wrong[i, j] / totals[i]),
            count=int(wrong[i, j]),
            truth_count=int(totals[i]),
        )
        for i, j in zip(*wrong.nonzero())
    ]
    worth = {'share': lambda pair: at_least(pair['count'], pair['truth_count']), 'count': lambda pair: pair['count']}
    return sorted(pairs, key=worth[by], reverse=True)


def at_least(count: int, total: int) -> float:
    """Lower end of Wilson's 95 % interval of a share, so that 1 of 1 is less than 30 of 40."""
    share, spread = count / total, _DEVIATIONS**2 / total
    deviation = (spread * (share * (1 - share) + spread / 4)) ** 0.5
    return (share + spread / 2 - deviation) / (1 + spread)


def choose_classes(confusion: Confusion, pairs: list[dict[str, Any]], top: int) -> list[int]:
    """The classes of the worst pairs, ``top`` of them at most, in the order of the data set.

    Where pairs have fewer, those that occur most fill up.
    """
    wanted = [name for pair in pairs for name in (pair['truth'], pair['prediction'])]
    number = len(confusion.classes)
    wanted += [confusion.classes[i] for i in np.argsort(-confusion.counts.sum(axis=1)[:number], kind='stable')]
    chosen = list(dict.fromkeys(wanted))[:top]
    return [i for i, name in enumerate(confusion.classes) if name in chosen]


def describe(confusion: Confusion, pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """What is in a confusion matrix: accuracy and pairs; of objects also what was not found, and found in nothing."""
    number = len(confusion.classes)
    found: dict[str, Any] = dict(
        counted='objects' if confusion.objects else 'pixels', accuracy=confusion.accuracy, pairs=pairs
    )
    if confusion.objects:
        found['not_found'] = dict(zip(confusion.classes, confusion.counts[:number, number].tolist()))
        found['in_background'] = dict(zip(confusion.classes, confusion.counts[number, :number].tolist()))
    return found
