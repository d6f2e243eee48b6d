"""Write the tables of docs/benchmarks.md from the files in benchmarks/results.

python benchmarks/tables.py            # after make bench
python benchmarks/tables.py --check    # status 1 if the page says anything else than the results
"""

import argparse
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from peers import CONTENDERS
from plot import STYLES

from benchmarks.index.model_tables import markdown
from mmseq.cli import run
from mmseq.errors import InputError
from mmseq.files import write_text

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / 'benchmarks' / 'results', ROOT / 'docs' / 'benchmarks.md'
MARKS = re.compile(r'(<!-- table (\w+): begin -->\n).*?(<!-- end -->)', re.DOTALL)
MODES = ('inference', 'training')
Result = dict[str, Any]


def label(model: str) -> str:
    """A model's name in the pictures."""
    return STYLES[model][0] if model in STYLES else model


def quotient(found: dict[str, float]) -> str:
    """A ratio with its quartiles."""
    return f'**{found["median"]:.2f}** ({found["quartile_1"]:.2f} to {found["quartile_3"]:.2f})'


def seconds(found: dict[str, float]) -> str:
    """Milliseconds below one second."""
    value = found['median']
    return f'{1000 * value:.1f} ms' if value < 1 else f'{value:.2f} s'


def megabytes(point: Result) -> str:
    """What a call took at most."""
    return f'{point["peak_bytes"] / 2**20:.0f} MB' if point.get('peak_bytes') is not None else ''


def ratios(results: Result) -> str:
    """Models that do the same as ours."""
    points = {(p['model'], p['mode'], p['batch'], p['nominal_side']): p for p in results['points']}
    rows = []
    for point in ordered(results['points']):
        if 'ratio_to_ours' not in point:
            continue
        mine = points[CONTENDERS[point['model']].mirrors, point['mode'], point['batch'], point['nominal_side']]
        rows.append(
            (
                f'{label(point["model"])} / ours',
                point['mode'],
                f'{point["side"]} px x {point["batch"]}',
                f'{seconds(point["seconds"])} / {seconds(mine["seconds"])}',
                quotient(point['ratio_to_ours']),
                f'{megabytes(point)} / {megabytes(mine)}',
            )
        )
    heads = ('', 'mode', 'image', 'time', 'ratio (quartiles)', 'peak memory')
    if not any(point.get('peak_bytes') for point in results['points']):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return markdown(heads, rows)


def ordered(points: Iterable[Result]) -> list[Result]:
    """By model, mode, batch and size."""
    names = list(STYLES)
    return sorted(
        points,
        key=lambda p: (
            names.index(p['model']) if p['model'] in names else len(names),
            MODES.index(p['mode']),
            p['batch'],
            p['nominal_side'],
        ),
    )


def growth(results: Result) -> str:
    """Slopes of time and memory."""
    rows = []
    for row in results.get('growth', ()):
        cells = [
            f'{row[what]["slope"]:.2f} ({row[what]["low"]:.2f} to {row[what]["high"]:.2f})' if what in row else ''
            for what in ('time', 'memory')
        ]
        rows.append((label(row['model']), row['mode'], *cells, str(row['time']['points'])))
    return markdown(('', 'mode', 'time', 'peak memory', 'sizes'), rows)


def operators(results: Result) -> str:
    """Operators beside other ways to do the same."""
    rows = []
    for case in results['cases']:
        for mode in MODES:
            times = case[mode]['seconds']
            for name, found in case[mode]['ratio_to_ours'].items():
                ours = next(iter(times))
                rows.append(
                    (
                        case['operator'],
                        case['place'],
                        mode,
                        f'{name} / {ours}',
                        f'{seconds(times[name])} / {seconds(times[ours])}',
                        quotient(found),
                    )
                )
    return markdown(('operator', 'where', 'mode', '', 'time', 'ratio (quartiles)'), rows)


def training(results: Result) -> str:
    """Parts of whole iterations."""
    cases = results['cases']
    parts = list(cases[0]['parts']) if cases else []
    rows = [
        (
            f'`{case["config"]}`',
            seconds(case['iteration']),
            *(f'{seconds(case["parts"][part])} ({case["share"][part]:.1%})' for part in parts),
        )
        for case in cases
    ]
    return markdown(('config', 'iteration', *parts), rows)


TABLES: dict[str, tuple[str, Callable[[Result], str]]] = {
    'ratios': ('backbones', ratios),
    'batches': ('backbones_batches', ratios),
    'same': ('backbones_same_allocator', ratios),
    'vil': ('backbones_vil_1024', ratios),
    'growth': ('backbones', growth),
    'growth_vil': ('backbones_vil_growth', growth),
    'operators': ('ops', operators),
    'training': ('training', training),
}


def table(name: str) -> str:
    """The table of a mark ``NAME_DEVICE``, and on what machine it was measured."""
    kind, _, device = name.rpartition('_')
    source, make = TABLES[kind]
    path = RESULTS / f'{source}_{device}.json'
    if not path.is_file():
        return 'Not measured yet.\n'
    results = json.loads(path.read_text())
    about = results['machine']
    where = f'{about["device"]}, {about["threads"]} threads, torch {about["torch"]}, commit {about["commit"][:7]}'
    return f'{make(results)}\n*{where}: `benchmarks/results/{path.name}`*\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='write nothing')
    args = parser.parse_args()
    if not PAGE.is_file():
        raise InputError(f'{PAGE}: no such file; run it in a checkout')
    old = PAGE.read_text()
    new = MARKS.sub(lambda match: f'{match[1]}\n{table(match[2])}\n{match[3]}', old)
    if args.check:
        return int(old != new)
    print(write_text(PAGE, new))
    return 0


if __name__ == '__main__':
    run(main)
