"""From the evaluations of a robustness measurement to its figures: means, comparisons of views, tables and files."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseq.errors import InputError
from mmseq.evaluation.agreement import compare_instances, compare_labels
from mmseq.evaluation.corruptions import GENERATED
from mmseq.files import write_csv, write_json
from mmseq.runs.robustness_plot import plot
from mmseq.runs.run import main_metrics, read_json, with_value

NAME = 'robustness.json'
AGREEMENT = 'agreement with views (%)'
# Of an evaluation: its part, name, what was changed, images, metrics and details.
Figures = dict[str, Any]


@dataclass(frozen=True)
class Robustness:
    """What was found of a model.

    Args:
        plan: what was measured, as the command wrote it down.
        found: evaluations that are there, in the order of the plan.
        summary: what ``robustness.json`` holds.
    """

    plan: dict[str, Any]
    found: list[Figures]
    summary: dict[str, Any]

    def lines(self) -> list[str]:
        """The main figures for a terminal."""
        lines = []
        for metric, value in self.summary['main'].items():
            line = f'{metric}: clean {value:.4g}'
            if part := self.summary.get('corruptions'):
                of = part['metrics'][metric]
                line += f', under corruption {of["mPC"]:.4g} ({percent(of["rPC"])} of it)'
            lines.append(line)
        for title, values in headlines(self.summary).items():
            lines.append(f'{title}: {", ".join(f"{name} {value:.4g}" for name, value in values.items())}')
        return lines + [f'note: {note}' for note in self.summary['notes']]


def percent(share: float | None) -> str:
    """A share as text."""
    return '-' if share is None else f'{100 * share:.1f} %'


def headlines(summary: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """One or a few numbers of each part."""
    found: dict[str, dict[str, float]] = {}
    for part in ('boundaries', 'position', 'calibration'):
        if part in summary:
            found[part] = with_value(summary[part]['metrics'])
    if 'consistency' in summary:
        views = summary['consistency']
        found[AGREEMENT] = with_value({name: view['agreement'] for name, view in views.items()})
    return found


def write_robustness(folder: Path) -> Robustness:
    """Read what the evaluations left, and write ``robustness.json``, ``robustness.csv`` and plots beside them.

    Raises:
        InputError: there is no measurement in the folder, or its clean evaluation is not finished.
    """
    plan = read_json(folder / 'plan.json')
    if not plan:
        raise InputError(f'{folder}: holds no measurement; mmseq robustness makes one')
    found = [read_json(folder / 'evaluations' / key / 'figures.json') for key in plan['evaluations']]
    missing = [key for key, figures in zip(plan['evaluations'], found) if not figures]
    if 'clean/clean' in missing:
        raise InputError(f'{folder}: the clean evaluation is not finished; give the command again to go on')
    robustness = summarise(folder, plan, [figures for figures in found if figures], missing)
    write_json(folder / NAME, robustness.summary)
    write_csv(folder / 'robustness.csv', ('part', 'name', 'metric', 'value'), rows(robustness))
    plot(robustness.summary, folder)
    return robustness


def summarise(folder: Path, plan: dict[str, Any], found: list[Figures], missing: list[str]) -> Robustness:
    """Put the evaluations of a measurement together."""
    clean = found[0]
    metrics = with_value(clean['metrics'])
    main = {name: metrics[name] for name in main_metrics(metrics)}
    summary: dict[str, Any] = dict(
        measured=plan, main=main, clean=clean['metrics'], images=clean['images'], missing=missing, notes=[]
    )
    for part, make in PARTS.items():
        if of_part := [figures for figures in found if figures['part'] == part]:
            summary[part] = make(folder, of_part, main)
    summary['notes'] = notes(summary)
    return Robustness(plan, found, summary)


def notes(summary: Mapping[str, Any]) -> list[str]:
    """What a reader has to know before comparing figures with others."""
    plan, said = summary['measured'], []
    if plan['quick']:
        said.append('quick: a few corruptions, sizes and views only')
    if plan['images'] is not None:
        said.append(f'on the first {summary["images"]} images only')
    if missing := summary['missing']:
        listed = ', '.join([*missing[:3], *(['...'] if len(missing) > 3 else [])])
        said.append(f'{len(missing)} evaluations are not finished: {listed}')
    if 'boundaries' in plan['parts'] and 'boundaries/boundaries' not in plan['evaluations']:
        said.append('boundaries are left out: masks are not evaluated')
    if GENERATED in summary.get('corruptions', {}).get('names', ()):
        said.append(
            f'{GENERATED} is a generated texture, since the photographs of the published frost have no licence; '
            'mPC and rPC without it stand beside those with it'
        )
    return said


def corruptions(folder: Path, found: Sequence[Figures], main: Mapping[str, float]) -> dict[str, Any]:
    """Mean performance under corruption (mPC), and relative to the clean one (rPC), as Michaelis et al. define them."""
    names = list(dict.fromkeys(one['about']['corruption'] for one in found))
    return dict(names=names, metrics={metric: under_corruption(found, names, metric, main[metric]) for metric in main})


def under_corruption(found: Sequence[Figures], names: Sequence[str], metric: str, clean: float) -> dict[str, Any]:
    """One metric: the mean over severities, then over corruptions; all of them, and without the generated one."""
    table: dict[str, dict[str, float]] = {name: {} for name in names}
    for one in found:
        value = with_value(one['metrics']).get(metric)
        if value is not None:
            table[one['about']['corruption']][str(one['about']['severity'])] = value
    means = {name: statistics.fmean(values.values()) for name, values in table.items() if values}

    def over(some: Iterable[str], suffix: str) -> dict[str, float | None]:
        chosen = [means[name] for name in some if name in means]
        mean = statistics.fmean(chosen) if chosen else None
        return {f'mPC{suffix}': mean, f'rPC{suffix}': mean / clean if mean is not None and clean else None}

    figures: dict[str, Any] = dict(over(names, ''), clean=clean, by_corruption=table, means=means)
    if GENERATED in names:
        figures |= over([name for name in names if name != GENERATED], '_without_generated')
    return figures


def single(folder: Path, found: Sequence[Figures], main: Mapping[str, float]) -> dict[str, Any]:
    """A part of one evaluation: its metrics by their short names, and details."""
    (one,) = found
    (details,) = one['details'].values()
    return dict(metrics={name.partition('/')[2]: value for name, value in one['metrics'].items()}, details=details)


def resolution(folder: Path, found: Sequence[Figures], main: Mapping[str, float]) -> list[dict[str, Any]]:
    """A row for each size: its factor and all metrics, among them those by size of objects."""
    return [dict(factor=one['about']['factor'], metrics=one['metrics']) for one in found]


def consistency(folder: Path, found: Sequence[Figures], main: Mapping[str, float]) -> dict[str, Any]:
    """For each view, agreement with the image as it is, and the metrics; nothing before that one is there."""
    if found[0]['name'] != 'plain':
        return {}
    return {one['name']: compare(folder, found[0], one) | dict(metrics=one['metrics']) for one in found if one['about']}


def compare(folder: Path, plain: Figures, other: Figures) -> dict[str, Any]:
    """Compare the predictions that two evaluations kept."""
    one, two = (folder / 'evaluations' / 'consistency' / figures['name'] for figures in (plain, other))
    if 'KeptInstances' in plain['details']:
        return compare_instances(one / 'detections.json', two / 'detections.json')
    details = plain['details']['KeptLabels']
    return compare_labels(one / 'labels', two / 'labels', other['name'], details['images'], details['classes'])


PARTS: dict[str, Callable[[Path, Sequence[Figures], Mapping[str, float]], Any]] = dict(
    corruptions=corruptions,
    boundaries=single,
    resolution=resolution,
    consistency=consistency,
    position=single,
    calibration=single,
)


def rows(robustness: Robustness) -> list[tuple[str, str, str, Any]]:
    """Every figure as part, name, metric and value."""
    found: list[tuple[str, str, str, Any]] = []
    for one in robustness.found:
        found += [(one['part'], one['name'], metric, value) for metric, value in one['metrics'].items()]
    summary = robustness.summary
    for metric, values in summary.get('corruptions', {}).get('metrics', {}).items():
        found += [('corruptions', name, metric, values[name]) for name in values if name[1:3] == 'PC']
    for view, values in summary.get('consistency', {}).items():
        names = [name for name, value in values.items() if isinstance(value, float)]
        found += [('consistency', view, name, values[name]) for name in names]
    return found


def read_robustness(folder: Path) -> list[dict[str, Any]]:
    """The summaries in a work dir, each with the ``folder`` it lies in."""
    return [dict(read_json(path), folder=str(path.parent)) for path in sorted(folder.glob(f'robustness*/{NAME}'))]
