"""Checks that data sets of both kinds share."""

import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from mmseq.datasets.checks.findings import Report
from mmseq.datasets.checks.images import Header
from mmseq.errors import InputError

# Wraps what is gone through, given its number, and shows how far it is.
Progress = Callable[[Iterable[Any], int], Iterable[Any]]


def check_unique(report: Report, kind: str, where: str, what: str, values: Sequence[Hashable]) -> None:
    """Report values that occur more than once."""
    if len(set(values)) == len(values):
        return
    double = [value for value, count in Counter(values).items() if count > 1]
    if double:
        report.error(
            kind,
            f'{where}: {len(double)} {what}s occur more than once, first {double[0]!r}; make them unique',
            str(double[0]),
            len(double),
        )


def plain_names(report: Report, classes: Sequence[str]) -> bool:
    """Whether the config's classes are names; reports those named twice, and one that is empty."""
    if isinstance(classes, str):
        report.error('categories', f'classes={classes!r}: is one string; give a list of names, as in ({classes!r},)')
        return False
    check_unique(report, 'categories', 'classes', 'name', classes)
    if empty := [i for i, name in enumerate(classes) if not str(name).strip()]:
        report.error('categories', f'classes: number {empty[0]} has no name; give it one, or drop it', count=len(empty))
    return True


def check_head(report: Report, count: int, num_classes: int | None) -> None:
    """The head predicts as many classes as there are."""
    if num_classes is not None and count != num_classes:
        report.error(
            'head', f'{report.where}: has {count} classes, but the head num_classes={num_classes}; make them equal'
        )


def folder(path: str, kind: str) -> None:
    """Raises InputError unless the folder is there and holds something."""
    if not os.path.isdir(path):
        raise InputError(f'{path}: no such {kind} folder; correct data_root and data_prefix, or fetch the data set')
    with os.scandir(path) as entries:
        if next(entries, None) is None:
            raise InputError(f'{path}: the {kind} folder is empty; fetch the data set, or correct data_prefix')


def unusual(report: Report, path: str, header: Header) -> None:
    """Warn of what the loaders accept, but change or read in their own way."""
    if header.turned:
        report.warning(
            'exif_rotation',
            f'{path}: is rotated by its EXIF data; the loader rotates images, but no label maps, and other programs '
            'may differ: check that the annotations fit the rotated image',
            path,
        )
    if header.sixteen_bit:
        report.warning(
            'sixteen_bit', f'{path}: has 16 bits a channel; the loader keeps 8 of them, scale it yourself', path
        )
    if header.palette:
        report.warning('palette', f'{path}: is a palette image; the loader turns it into colours, check them', path)


def read_names(path: str) -> list[str]:
    """The names in a list of upstream's: one a line, without suffix.

    Raises:
        InputError: it cannot be read, names nothing, or has a blank line.
    """
    try:
        with open(path, encoding='utf-8') as file:
            names = [line.strip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'{path}: cannot be read as a list of names ({error}); correct ann_file') from error
    if not names:
        raise InputError(f'{path}: names nothing; write one name without suffix a line')
    if '' in names:
        raise InputError(f'{path}: line {names.index("") + 1} is blank, which upstream takes for a name; delete it')
    return names
