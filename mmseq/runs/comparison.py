"""Several runs in one table; those that differ by their seed alone in one row."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import takewhile
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseq.errors import InputError
from mmseq.evaluation.spread import STATISTICS, spread
from mmseq.nested import walk
from mmseq.runs.config_diff import ABSENT, among, read_by_runner
from mmseq.runs.run import Run, main_metrics

# Of what the runner reads, that which says nothing about what was trained.
BOOKKEEPING = frozenset({'work_dir', 'resume', 'launcher', 'experiment_name'})
COSTS: dict[str, Callable[[Run], float | None]] = {
    'iterations': lambda run: run.iterations or None,
    's/iteration': Run.seconds_per_iteration,
    'training s': Run.training_seconds,
    'memory MB': Run.peak_megabytes,
}
Statistics = dict[str, float | int | None]


@dataclass(frozen=True)
class Group:
    """Runs of one config, with different seeds if there are several.

    Attributes:
        name: of the run, or what the names of the runs have in common.
        runs: at least one.
    """

    name: str
    runs: list[Run]

    @property
    def config(self) -> str | None:
        """The name of the config's file."""
        return next((name for run in self.runs if (name := run.report.get('config'))), None)

    @property
    def seeds(self) -> list[int | None]:
        """Of each run."""
        return [run.seed for run in self.runs]

    def final(self) -> dict[str, Statistics]:
        """The metrics of the latest evaluations."""
        return over_runs([run.final for run in self.runs])

    def best(self) -> dict[str, Statistics]:
        """The highest value of each metric in each run."""
        return over_runs([{name: value for name, (value, _) in run.best().items()} for run in self.runs])

    def costs(self) -> dict[str, Statistics]:
        """Iterations, time and memory."""
        return over_runs([{name: cost(run) for name, cost in COSTS.items()} for run in self.runs])

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return dict(
            name=self.name,
            config=self.config,
            runs=[dict(name=run.name, folder=str(run.folder), seed=run.seed, final=run.final) for run in self.runs],
            final=self.final(),
            best=self.best(),
            costs=self.costs(),
        )


def over_runs(found: Sequence[Mapping[str, float | None]]) -> dict[str, Statistics]:
    """Statistics of each quantity over the runs that have it, with their number ``n``."""
    result: dict[str, Statistics] = {}
    for name in dict.fromkeys(name for values in found for name in values):
        values = [value for one in found if (value := one.get(name)) is not None]
        if values:
            result[name] = {**spread(values), 'n': len(values)}
    return result


def settings(config: Config) -> dict[str, Any]:
    """What a config says of the training, without its seed, its folder and what mmseq wraps around its parts."""
    found = {key: value for key, value in read_by_runner(config).items() if key not in BOOKKEEPING}
    found['randomness'] = {key: value for key, value in (found.get('randomness') or {}).items() if key != 'seed'}
    # its notes repeat in words what other entries say
    hooks = found.get('custom_hooks') or []
    found['custom_hooks'] = [hook for hook in hooks if hook.get('type') != 'mmseq.RecipeHook']
    for node in walk(found):
        if (node.get('dataset') or {}).get('type') == 'mmseq.TolerantDataset':
            node['dataset'] = node['dataset']['dataset']
        node.update({key: '(work dir)' for key, value in node.items() if value and value == config.get('work_dir')})
    return found


def group_runs(runs: Iterable[Run]) -> list[Group]:
    """Put runs together whose configs differ by the seed alone; a run without a config stands alone."""
    members: list[tuple[dict[str, Any] | None, list[Run]]] = []
    for run in runs:
        own = settings(run.config) if run.config is not None else None
        for other, group in members:
            same_seed = run.seed in [one.seed for one in group]
            if own is not None and other is not None and not same_seed and not among([own, other]):
                group.append(run)
                break
        else:
            members.append((own, [run]))
    names = [common_name(group) for _, group in members]
    unique = [name if names.count(name) == 1 else group[0].name for name, (_, group) in zip(names, members)]
    return [Group(name, group) for name, (_, group) in zip(unique, members)]


def common_name(runs: Sequence[Run]) -> str:
    """What the paths of runs have in common, from the last part of it; a single run's own name."""
    if len(runs) == 1:
        return runs[0].name
    paths = [str(run.folder.resolve()) for run in runs]
    # letter by letter, since run_1 and run_2 are of run
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*paths))
    path = Path(''.join(letters[0] for letters in alike).rstrip('_-./ '))
    # the runs of mmseq seeds are SEEDS/seed_0, SEEDS/seed_1, ...
    return (path.parent.name if path.name == 'seed' else path.name) or runs[0].name


def differences(groups: Sequence[Group]) -> list[tuple[str, list[Any]]]:
    """The entries in which the configs of the groups differ, with the values (``config_diff.among``)."""
    return among([settings(group.runs[0].config) if group.runs[0].config is not None else {} for group in groups])


def choose_metrics(groups: Sequence[Group], patterns: Sequence[str]) -> list[str]:
    """The metrics that match patterns with * and ?, or those that say how good a model is if there are no patterns.

    Raises:
        InputError: a pattern that no metric matches.
    """
    names = list(dict.fromkeys(name for group in groups for run in group.runs for name in run.best()))
    if not patterns:
        return main_metrics(names)
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in names):
            raise InputError(f'--metrics {pattern}: no such metric; there are {", ".join(names) or "none"}')
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]


def summary_rows(groups: Sequence[Group], metrics: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table for readers: a row for each group, with the means of what it cost."""
    columns: dict[str, list[str]] = {}
    for name in metrics:
        columns[name] = [as_text(group.final().get(name)) for group in groups]
        columns[f'best {name}'] = [as_text(group.best().get(name)) for group in groups]
    for name in COSTS:
        found = [group.costs().get(name) for group in groups]
        columns[name] = ['-' if cost is None else f'{cost["mean"]:.4g}' for cost in found]
    # a column without any value, as memory on a CPU, is left out
    kept = {name: cells for name, cells in columns.items() if set(cells) != {'-'}}
    rows = zip([group.name for group in groups], [str(len(group.runs)) for group in groups], *kept.values())
    return ['run', 'n', *kept], [list(row) for row in rows]


def as_text(found: Statistics | None) -> str:
    """``68.3`` of one run, ``68.3 ± 0.4 (67.9 to 68.7)`` of several."""
    if found is None:
        return '-'
    if found['std'] is None or found['min'] == found['max']:
        return f'{found["mean"]:.4g}'
    return f'{found["mean"]:.4g} ± {found["std"]:.2g} ({found["min"]:.4g} to {found["max"]:.4g})'


def difference_rows(groups: Sequence[Group]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of config entries that differ: a column for each group."""
    rows = [[key, *('-' if value is ABSENT else str(value) for value in values)] for key, values in differences(groups)]
    return ['config entry', *(group.name for group in groups)], rows


def full_rows(groups: Sequence[Group]) -> tuple[list[str], list[list[Any]]]:
    """Header and rows with every figure, for a CSV file: a row for each group."""
    found = [(group.final(), group.best(), group.costs()) for group in groups]
    kinds = ('', 'best ', '')
    quantities = list(
        dict.fromkeys((kind, name) for parts in found for kind, part in enumerate(parts) for name in part)
    )
    quantities.sort(key=lambda quantity: quantity[0])
    changes = differences(groups)
    header = ['run', 'n', 'seeds', 'config']
    header += [f'{kinds[kind]}{name} {key}' for kind, name in quantities for key in STATISTICS]
    header += [key for key, _ in changes]
    rows = []
    for i, (group, parts) in enumerate(zip(groups, found)):
        row = [group.name, len(group.runs), ' '.join(map(str, group.seeds)), group.config]
        row += [parts[kind].get(name, {}).get(key) for kind, name in quantities for key in STATISTICS]
        rows.append(row + [None if values[i] is ABSENT else str(values[i]) for _, values in changes])
    return header, rows


def as_dict(groups: Sequence[Group]) -> dict[str, Any]:
    """All of it, for a JSON file; an entry that a config does not have is left out of ``values``."""
    changes = [
        dict(key=key, values={g.name: value for g, value in zip(groups, values) if value is not ABSENT})
        for key, values in differences(groups)
    ]
    return dict(groups=[group.as_dict() for group in groups], differences=changes)


def align(header: Sequence[str], rows: Sequence[Sequence[str]], longest: int = 60) -> str:
    """A table for a terminal; what is longer than a cell may be ends in dots."""
    cut = [[cell if len(cell) <= longest else f'{cell[: longest - 3]}...' for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cut) for i in range(len(header))]
    return '\n'.join('  '.join(f'{cell:{width}}' for cell, width in zip(row, widths)).rstrip() for row in cut)


def as_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(cell.replace('|', '\\|') for cell in line) + ' |' for line in lines)
