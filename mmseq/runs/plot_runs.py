"""Curves of several runs in one picture."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path

from mmseq.errors import InputError
from mmseq.files import write_csv
from mmseq.pictures.curves import Panels, arrange, draw
from mmseq.runs.run import Run, main_metrics

# Beside the metrics, what is compared where nothing was asked for.
USUAL = ('loss', 'lr', 'grad_norm', 'time', 'memory')


def plot_runs(runs: Sequence[Run], out: Path, keys: Sequence[str] = (), smoothing: float = 0.05) -> Path:
    """Draw the curves of runs over iterations, and write what was drawn into a CSV file beside the picture.

    One run has a panel for each kind of quantity, several have one for each quantity.

    Args:
        runs: with curves.
        out: the PNG.
        keys: names of scalars, with * and ?; by default all of one run, and the usual ones of several.
        smoothing: share of a curve that its running mean reaches over, from 0 to 1.

    Returns:
        ``out``.

    Raises:
        InputError: a key that no run has logged, or a run without curves.
    """
    for run in runs:
        if not run.iterations:
            raise InputError(f'work dir {run.folder}: no training log in it')
    metrics = {name for run in runs for name in run.curves.val}
    if len(runs) == 1:
        panels = one_run(runs[0], keys)
        title = runs[0].name
    else:
        panels = {key: lines for key in choose(runs, keys) if (lines := by_run(runs, key))}
        title = f'{len(runs)} runs'
    sparse = {name for name, lines in panels.items() if name in metrics or not metrics.isdisjoint(lines)}
    write_csv(out.with_suffix('.csv'), ('run', 'key', 'iteration', 'value'), points_of(panels, runs))
    return draw(panels, sparse, title, out, smoothing)


def points_of(panels: Panels, runs: Sequence[Run]) -> Iterator[tuple[str, str, int, float]]:
    """Name of the run, key, iteration and value of every point drawn."""
    for title, lines in panels.items():
        for name, points in lines.items():
            run, key = (runs[0].name, name) if len(runs) == 1 else (name, title)
            yield from ((run, key, iteration, value) for iteration, value in points.items())


def one_run(run: Run, keys: Sequence[str]) -> Panels:
    """The panels of one run, as its own picture of curves has them, with the wanted lines alone."""
    wanted = set(choose([run], keys or ['*']))
    panels = {
        title: {name: points for name, points in lines.items() if name in wanted}
        for title, lines in arrange(run.curves).items()
    }
    return {title: lines for title, lines in panels.items() if lines}


def by_run(runs: Sequence[Run], key: str) -> dict[str, dict[int, float]]:
    """The curve of a scalar in each run that has it."""
    curves = {run.name: run.curves.train.get(key) or run.curves.val.get(key) for run in runs}
    return {name: points for name, points in curves.items() if points}


def choose(runs: Sequence[Run], keys: Sequence[str]) -> list[str]:
    """The names of scalars that match, in the order in which panels stand.

    Raises:
        InputError: a key that matches none.
    """
    names = list(dict.fromkeys(name for run in runs for lines in arrange(run.curves).values() for name in lines))
    if not keys:
        metrics = main_metrics(dict.fromkeys(name for run in runs for name in run.curves.val))
        return [name for name in names if name in (*metrics, *USUAL)]
    for key in keys:
        if not any(fnmatch(name, key) for name in names):
            near = get_close_matches(key, names, 3) or names
            raise InputError(f'--keys {key}: not logged; nearest: {", ".join(near)}')
    return [name for name in names if any(fnmatch(name, key) for key in keys)]
