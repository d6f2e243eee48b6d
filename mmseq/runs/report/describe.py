"""What the page says of a run, in JSON's own types."""

import csv
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from mmseq.config import config_file, existing_file
from mmseq.errors import InputError
from mmseq.pictures.curves import STEADY, arrange
from mmseq.runs.comparison import Group, differences, settings
from mmseq.runs.config_diff import ABSENT, Change, difference, plain, read_bases
from mmseq.runs.confusion import Confusion, confused_pairs, read_confusion
from mmseq.runs.report.robustness import describe_robustness
from mmseq.runs.report.scores import number, read_scores
from mmseq.runs.run import Run, main_metrics, read_json

# Points of a curve on the page, of which a screen shows no more.
POINTS = 1000
# Classes of a confusion matrix on the page: more are neither seen nor read.
CLASSES = 150
# Pairs of classes that are confused most.
PAIRS = 12


def describe_run(run: Run, configs: Path | None = None) -> dict[str, Any]:
    """All that the page shows of a run but its pictures; ``notes`` say what is missing.

    Args:
        run: as it was read.
        configs: folder of the config files, to find the run's by its name; by default that of mmseq.

    Raises:
        InputError: a file of the work dir that cannot be read.
    """
    notes: list[str] = []
    config = describe_config(run, configs, notes)
    return dict(
        name=run.name,
        folder=str(run.folder),
        config=config,
        facts=facts(run),
        main=main_metrics(run.final),
        final=run.final,
        best={name: list(found) for name, found in run.best().items()},
        history=describe_history(run),
        curves=describe_curves(run),
        clock=thin(hours(run)),
        per_class=[read_table(path) for path in numbered(run.folder, 'per_class')],
        confusion=describe_confusions(run, notes),
        errors=read_json(run.folder / 'error_analysis.json'),
        robustness=describe_robustness(run.folder),
        scores=[one.score for one in read_scores(run.folder) if one.score is not None],
        environment=run.environment | versions(run),
        notes=notes,
    )


def facts(run: Run) -> list[list[str]]:
    """Label and text of what a reader wants to know first."""
    checkpoint = run.report.get('checkpoint')
    found = {
        'config': run.report.get('config'),
        'seed': run.seed,
        'iterations': run.iterations or None,
        'evaluated images': run.report.get('dataset_size'),
        'evaluated weights': Path(checkpoint).name if checkpoint else None,
        'evaluated at': (run.report.get('time') or '')[:16].replace('T', ' '),
        'training time': duration(run.training_seconds()),
        'per iteration': duration(run.seconds_per_iteration()),
        'GPU memory': None if (peak := run.peak_megabytes()) is None else f'{peak:.0f} MB',
    }
    return [[label, str(value)] for label, value in found.items() if value not in (None, '')]


def duration(seconds: float | None) -> str | None:
    """A time in words: ``230 ms``, ``12.3 s``, ``8 min 05 s``, ``3 h 12 min``."""
    if seconds is None:
        return None
    if seconds < 1:
        return f'{1000 * seconds:.0f} ms'
    if seconds < 60:
        return f'{seconds:.1f} s'
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f'{minutes} min {rest:02} s'
    return f'{minutes // 60} h {minutes % 60:02} min'


def versions(run: Run) -> dict[str, str]:
    """Of packages, as the latest evaluation wrote them down."""
    found = run.report.get('versions') or {}
    return {f'{name} (evaluation)': str(value) for name, value in found.items() if value}


def describe_history(run: Run) -> dict[str, Any]:
    """``columns`` and ``rows`` of the metrics of each evaluation in the training."""
    names = list(dict.fromkeys(name for one in run.history for name in one.metrics))
    epochs = any(one.epoch for one in run.history)
    columns = ['iteration', *(['epoch'] if epochs else []), *names]
    rows = [
        [one.iteration, *([one.epoch] if epochs else []), *(one.metrics.get(name) for name in names)]
        for one in run.history
    ]
    return dict(columns=columns, rows=rows)


def describe_curves(run: Run) -> list[dict[str, Any]]:
    """Panels with ``title``, whether they show ``metrics``, whether they are ``steady`` and the ``lines``."""
    return [
        dict(
            title=title,
            metrics=not run.curves.val.keys().isdisjoint(lines),
            steady=title in STEADY,
            lines=[dict(name=name, **thin(points)) for name, points in lines.items()],
        )
        for title, lines in arrange(run.curves).items()
    ]


def hours(run: Run) -> dict[int, float]:
    """How long the training has run at each iteration that was logged."""
    found, total, before = {}, 0.0, 0
    for i, seconds in sorted(run.curves.train.get('time', {}).items()):
        total += seconds * (i - before) / 3600
        found[i], before = total, i
    return found


def thin(points: Mapping[int, float], most: int = POINTS) -> dict[str, list[Any]]:
    """``x`` and ``y`` of a curve; of more than ``most`` points the means of neighbours, NaN as None."""
    x, y = np.array(list(points), dtype=float), np.array(list(points.values()), dtype=float)
    if len(x) > most:
        parts = np.array_split(np.arange(len(x)), most)
        x = np.array([x[part].mean() for part in parts])
        # a loss that is not finite is seen as a gap
        y = np.array([y[part].mean() for part in parts])
    return dict(x=[float(f'{v:.7g}') for v in x], y=[float(f'{v:.6g}') if math.isfinite(v) else None for v in y])


def numbered(folder: Path, name: str) -> list[Path]:
    """``name.csv``, ``name_2.csv`` and so on, as far as there are any."""
    found = [folder / f'{name}.csv']
    while found[-1].is_file():
        found.append(folder / f'{name}_{len(found) + 1}.csv')
    return found[:-1]


def read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV file.

    Raises:
        InputError: it is empty, or its rows differ in length.
    """
    with path.open(newline='', encoding='utf-8') as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if not header or any(len(row) != len(header) for row in rows):
        raise InputError(f'{path}: not a table of {len(header)} columns; evaluate again')
    return header, rows


def read_table(path: Path) -> dict[str, Any]:
    """``columns`` and ``rows`` of a table with names first and numbers, or None, behind them.

    Raises:
        InputError: it is no such table.
    """
    columns, rows = read_rows(path)
    try:
        return dict(columns=columns, rows=[[row[0], *map(number, row[1:])] for row in rows])
    except ValueError as error:
        raise InputError(f'{path}: {error}; evaluate again') from error


def describe_confusion(confusion: Confusion) -> dict[str, Any]:
    """Classes (the background of objects last) with the ``totals`` of their rows, and what is in the matrix.

    ``cells`` are those that are not empty: places of truth and prediction, and count. ``pairs`` are the classes that
    are confused most: names of truth and prediction, count, and percent of the truth. Classes that occur neither in
    truth nor in predictions have no cells, nor have those behind the ``CLASSES`` that occur most; ``left_out`` says how
    many these are.
    """
    counts = confusion.counts
    names = [*confusion.classes, *(['background'] if confusion.objects else [])]
    sums = counts.sum(0) + counts.sum(1)
    shown = np.sort(np.argsort(-sums, kind='stable')[: min(CLASSES, np.count_nonzero(sums))])
    part = counts[np.ix_(shown, shown)]
    pairs = confused_pairs(confusion)[:PAIRS]
    return dict(
        classes=[names[i] for i in shown],
        totals=counts.sum(1)[shown].tolist(),
        objects=confusion.objects,
        left_out=int(np.count_nonzero(sums)) - len(shown),
        cells=[[int(i), int(j), int(part[i, j])] for i, j in zip(*part.nonzero())],
        pairs=[[pair['truth'], pair['prediction'], pair['count'], round(100 * pair['share'], 1)] for pair in pairs],
    )


def describe_confusions(run: Run, notes: list[str]) -> list[dict[str, Any]]:
    """All confusion matrices of a work dir; one that counts nothing is left out."""
    found = []
    for path in numbered(run.folder, 'confusion_matrix'):
        try:
            found.append(describe_confusion(read_confusion(path)))
        except InputError as error:
            notes.append(str(error))
    return found


def describe_config(run: Run, configs: Path | None, notes: list[str]) -> dict[str, Any]:
    """``text`` of a run's config, its changes over the config file (``run``) and of that over its bases (``file``)."""
    if run.config is None:
        notes.append('there is no config in the work dir')
        return dict(text='', name=None, run=[], file=[])
    name = run.report.get('config') or next((path.name for path in run.folder.glob('*.py')), None)
    found = dict(text=run.config.pretty_text, name=name, run=[], file=[])
    path = find_config(name, configs) if name else None
    if path is None:
        notes.append(f'config {name or "file"} is not in {configs or "the configs of mmseq"}, so its bases are unknown')
        return found
    try:
        own, bases = read_with_bases(path, path.stat().st_mtime_ns)
    except (InputError, SyntaxError, KeyError, OSError, ValueError, TypeError) as error:
        notes.append(f'config {name} cannot be read: {error}')
        return found
    found['run'] = [as_row(one) for one in difference(settings(own), settings(run.config))]
    if bases is not None:
        found['file'] = [as_row(one) for one in difference(settings(bases), settings(own))]
    return found


def find_config(name: str, configs: Path | None) -> Path | None:
    """A config file by its name, in a folder or among those that come with mmseq; None if it is not there."""
    try:
        return Path(existing_file(str(configs / name), 'config') if configs else config_file(f'mmseq::{name}'))
    except InputError:
        return None


@lru_cache(maxsize=8)
def read_with_bases(path: Path, changed: int) -> tuple[Config, Config | None]:
    """A config file and what its bases say without it; runs of one config share them until the file is ``changed``."""
    return Config.fromfile(path, import_custom_modules=False), read_bases(path)


def as_row(change: Change) -> list[str | None]:
    """Key, old and new value of a change as a config would have them; None for what is absent."""
    return [change.key, *(None if value is ABSENT else as_config(value) for value in (change.old, change.new))]


def as_config(value: Any) -> str:
    """A value as it stands in a config."""
    if isinstance(value, Mapping):
        value = dict(sorted(value.items(), key=lambda entry: entry[0] != 'type'))
        if all(isinstance(key, str) and key.isidentifier() for key in value):
            return f'dict({", ".join(f"{key}={as_config(item)}" for key, item in value.items())})'
        return f'{{{", ".join(f"{key!r}: {as_config(item)}" for key, item in value.items())}}}'
    if isinstance(value, (list, tuple)):
        return f'[{", ".join(map(as_config, value))}]'
    return repr(plain(value))


def describe_groups(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Of each group its runs by name, and the statistics of its metrics and costs."""
    return [
        dict(
            name=group.name,
            runs=[run.name for run in group.runs],
            seeds=group.seeds,
            final=group.final(),
            best=group.best(),
            costs=group.costs(),
        )
        for group in groups
    ]


def describe_differences(groups: Sequence[Group]) -> list[list[Any]]:
    """Key, and the value of each group as a config would have it, or None."""
    return [
        [key, [None if value is ABSENT else as_config(value) for value in values]]
        for key, values in differences(groups)
    ]
