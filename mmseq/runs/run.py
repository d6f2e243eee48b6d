"""Trainings as they lie in their work dirs: config, curves, metrics, time, memory, environment."""

import json
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseq.errors import InputError, first_line
from mmseq.pictures.curves import NO_VALUE, Curves, read_curves
from mmseq.saved_config import read_saved_config, training_folder

# What says how good a model is, where a data set has several figures.
MAIN = re.compile(r'(?:^|/)(?:mIoU|PQ|(?:bbox_|segm_)AP|(?:bbox_|segm_|proposal_)?mAP)$')
# What mmengine logs beside the metrics of an evaluation.
TIMES = ('time', 'data_time')
_ENVIRONMENT = re.compile(r'^-{20,}\nSystem environment:\n(.*?)^-{20,}$', re.MULTILINE | re.DOTALL)
_LINE_OF_ENVIRONMENT = re.compile(r'^ {4}(\S.*?): ?(.*)$')


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one evaluation; those without a value are left out."""

    iteration: int
    metrics: dict[str, float]
    epoch: int | None = None
    checkpoint: str | None = None
    time: str | None = None


@dataclass(frozen=True)
class Run:
    """One work dir.

    Attributes:
        folder: as it was given.
        name: tells it apart from the others it was read with.
        config: of its newest training, overrides included; None if the folder holds none.
        curves: empty if nothing was trained here.
        report: what metrics.json holds of the latest evaluation, or what upstream's own tools left of a test; empty
            without either.
        history: evaluations during the training, in order; of one by upstream's own tools, those that it logged.
        environment: what the log says of the machine and the packages.
    """

    folder: Path
    name: str
    config: Config | None
    curves: Curves
    report: dict[str, Any]
    history: list[Evaluation]
    environment: dict[str, str]

    @property
    def seed(self) -> int | None:
        """Of the training's random numbers."""
        return (self.config.get('randomness') or {}).get('seed') if self.config else None

    @property
    def iterations(self) -> int:
        """The last one that was logged; 0 without a training."""
        return max((max(points) for points in self.curves.train.values() if points), default=0)

    @property
    def final(self) -> dict[str, float]:
        """The metrics of the latest evaluation."""
        if self.report:
            return with_value(self.report.get('metrics') or {})
        return self.history[-1].metrics if self.history else {}

    def best(self) -> dict[str, tuple[float, int | None]]:
        """The highest value of each metric and the iteration it was measured at, which a test may not know."""
        found: dict[str, tuple[float, int | None]] = {}
        history = [(evaluation.metrics, evaluation.iteration) for evaluation in self.history]
        for metrics, iteration in (*history, (self.final, self.report.get('iteration'))):
            for name, value in metrics.items():
                if name not in found or value > found[name][0]:
                    found[name] = (value, iteration)
        return found

    def seconds_per_iteration(self) -> float | None:
        """The median of what was logged."""
        times = [value for value in self.curves.train.get('time', {}).values() if math.isfinite(value)]
        return statistics.median(times) if times else None

    def training_seconds(self) -> float | None:
        """What the iterations took, without validations and checkpoints: each logged mean times its iterations."""
        points = sorted(self.curves.train.get('time', {}).items())
        if not points:
            return None
        return sum(value * (i - before) for (before, _), (i, value) in zip([(0, 0.0), *points], points))

    def peak_megabytes(self) -> float | None:
        """The most GPU memory that was logged; None on a CPU, where mmengine logs none."""
        return max(self.curves.train.get('memory', {}).values(), default=None)


def find_runs(folders: Iterable[str | Path]) -> list[Path]:
    """The work dirs among the given folders; a folder of ``mmseq seeds`` stands for those of its seeds.

    Raises:
        InputError: no such folder, or one that holds no run.
    """
    found: list[Path] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f'work dir {folder}: no such folder')
        seeds = sorted(folder.glob('seed_*'), key=lambda path: (len(path.name), path.name))
        runs = [folder] if is_run(folder) else [path for path in seeds if is_run(path)]
        if not runs:
            raise InputError(
                f'work dir {folder}: neither metrics.json nor */vis_data/scalars.json in it; give the folder that '
                "mmseq train, mmseq test or upstream's own tools wrote to"
            )
        found += [run for run in runs if run.resolve() not in {other.resolve() for other in found}]
    return found


def is_run(folder: Path) -> bool:
    """Whether something was trained or evaluated in a folder."""
    evaluated = (folder / 'metrics.json').is_file() or upstream_tests(folder)
    return bool(evaluated) or any(folder.glob('*/vis_data/scalars.json'))


def read_runs(folders: Iterable[str | Path]) -> list[Run]:
    """Read work dirs; see :func:`find_runs`.

    Raises:
        InputError: no such folder, one that holds no run, or a file in it that cannot be read.
    """
    found = find_runs(folders)
    return [read_run(folder, name) for folder, name in zip(found, short_names(found))]


def read_run(folder: Path, name: str) -> Run:
    """Read one work dir.

    Raises:
        InputError: a file in it that cannot be read.
    """
    home = training_folder(folder)
    trained = any('"iter"' in path.read_text(encoding='utf-8') for path in folder.glob('*/vis_data/scalars.json'))
    curves = read_curves(folder) if trained else Curves()
    return Run(
        folder=folder,
        name=name,
        config=read_saved_config(home / 'vis_data' / 'config.py') if home else None,
        curves=curves,
        report=read_json(folder / 'metrics.json') or report_of_test(folder, since=home if trained else None),
        history=read_history(folder / 'metrics_history.jsonl') or history_of(curves),
        environment=read_environment(home) if home else {},
    )


def short_names(folders: Sequence[Path]) -> list[str]:
    """The last parts of paths, as many as it takes to tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ['/'.join(path[-depth:]) for path in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's object; empty if there is no file.

    Raises:
        InputError: it is no JSON, or holds something else.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise InputError(f'{path}: no JSON: {first_line(error)}; delete it or evaluate again') from error
    if not isinstance(found, dict):
        raise InputError(f'{path}: expected an object, found {type(found).__name__}; delete it or evaluate again')
    return found


def read_history(path: Path) -> list[Evaluation]:
    """The evaluations of ``metrics_history.jsonl``; a later run replaces what earlier ones found from its first on."""
    found: list[Evaluation] = []
    last = None
    for line in path.read_text(encoding='utf-8', errors='replace').splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            # cut off while being written
            continue
        one = Evaluation(
            record['iteration'],
            with_value(record.get('metrics') or {}),
            record.get('epoch') or None,
            record.get('checkpoint'),
            record.get('time'),
        )
        if record.get('run') != last:
            last = record.get('run')
            found = [other for other in found if other.iteration < one.iteration]
        found.append(one)
    return found


def history_of(curves: Curves) -> list[Evaluation]:
    """The evaluations that the curves know: trainings by upstream's own tools keep no other record."""
    iterations = sorted({i for points in curves.val.values() for i in points})
    return [
        Evaluation(i, with_value({name: points[i] for name, points in curves.val.items() if i in points}))
        for i in iterations
    ]


def upstream_tests(folder: Path) -> list[Path]:
    """What mmengine writes of a test, ``STAMP/STAMP.json``, in order of time."""
    return sorted(path for path in folder.glob('*/*.json') if path.stem == path.parent.name)


def report_of_test(folder: Path, since: Path | None) -> dict[str, Any]:
    """The newest test of a work dir by upstream's own tools, which keep no other record; empty without one.

    Args:
        folder: the work dir.
        since: the folder of its training, which says more where it is the later one.

    Raises:
        InputError: the record cannot be read.
    """
    found = [path for path in upstream_tests(folder) if since is None or path.parent.name > since.name]
    metrics = read_json(found[-1]) if found else {}
    return dict(mode='test', metrics={k: v for k, v in metrics.items() if k not in TIMES}) if metrics else {}


def with_value(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that are numbers, without pycocotools' -1 for a mean over nothing."""
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and not ('mAP' in name and value == NO_VALUE)
    }


def main_metrics(names: Iterable[str]) -> list[str]:
    """Those among the names that say how good a model is; the first if none is known to."""
    names = list(names)
    return [name for name in names if MAIN.search(name)] or names[:1]


def read_environment(home: Path) -> dict[str, str]:
    """What the log in a run's time-stamped folder says of machine and packages; empty if nothing."""
    for path in sorted(home.glob('*.log')):
        # it stands at the beginning
        with path.open(encoding='utf-8', errors='replace') as file:
            block = _ENVIRONMENT.search(file.read(65536))
        if block:
            return _parse_environment(block[1])
    return {}


def _parse_environment(block: str) -> dict[str, str]:
    found: dict[str, str] = {}
    key = None
    for line in block.splitlines():
        if match := _LINE_OF_ENVIRONMENT.match(line):
            key, found[match[1]] = match[1], match[2]
        elif line.strip() and line.startswith(' ') and key:
            # compiling details go on over several lines
            found[key] += f'\n{line.strip()}'
    return found
