"""The configs that come with mmseq."""

import argparse
import ast
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mmseq.cli import command_parser
from mmseq.errors import InputError

TASKS = ('semantic', 'boxes', 'instances', 'panoptic', 'classes')
HEADINGS = ('config', 'task', 'data', 'parameters', 'reported', 'ours')


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'configs',
        'List the configs that come with mmseq: task, data, parameters, the figure that the authors report and the one '
        'that we measured. Every command takes a config by the name that is listed, and a config of your own inherits '
        "it with _base_ = 'mmseq::NAME.py'.",
        'mmseq configs seq2d --task instances --max-parameters 50',
        "mmseq configs 'upernet*ade20k' --summary",
    )
    parser.add_argument('patterns', nargs='*', metavar='PATTERN', help='names to list, with * and ? (default: all)')
    parser.add_argument('--task', choices=TASKS, help='only those of this task')
    parser.add_argument('--max-parameters', type=float, metavar='M', help='only those of at most M million parameters')
    parser.add_argument('--reported', action='store_true', help='only those with a figure, of the authors or ours')
    parser.add_argument('--summary', action='store_true', help='print the first line of each config instead')
    parser.add_argument('--folder', action='store_true', help='print only the folder of the configs')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError where there is none."""
    args = build_parser().parse_args(argv)
    from mmseq.compat.shipped_configs import folder

    if args.folder:
        print(folder())
        return 0
    named = [entry for entry in index() if matches(entry['Name'], args.patterns)]
    if not named:
        raise InputError(f'no config is called {" or ".join(args.patterns)}; mmseq configs lists all')
    found = [entry for entry in named if fits(entry, args.task, args.max_parameters, args.reported)]
    if not found:
        raise InputError(f'none of the {len(named)} configs fits the options; leave one out')
    rows = [summary_row(folder(), entry) for entry in found] if args.summary else [HEADINGS, *map(row, found)]
    for line in aligned(rows):
        print(line)
    return 0


def index() -> list[dict[str, Any]]:
    """The entries of the index that lies beside the folder of the configs.

    Raises:
        InputError: it is not there.
    """
    import yaml

    from mmseq.compat.shipped_configs import folder

    path = folder().with_name('model-index.yml')
    if not path.is_file():
        raise InputError(f'{path}: is not there; install mmseq again, or work in a checkout')
    return list(yaml.load(path.read_text(encoding='utf-8'), getattr(yaml, 'CSafeLoader', yaml.SafeLoader))['Models'])


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns is in the name or matches all of it; without patterns, every name matches."""
    return not patterns or any(fnmatch(name, pattern) or fnmatch(name, f'*{pattern}*') for pattern in patterns)


def fits(entry: Mapping[str, Any], task: str | None, millions: float | None, reported: bool) -> bool:
    """Whether an entry of the index is what the options ask for."""
    facts = entry['Metadata']
    return (
        task in (None, facts['Task'])
        and (millions is None or facts['Parameters'] <= millions * 1e6)
        and (not reported or 'Reported by authors' in entry or 'Results' in entry)
    )


def row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """What is listed of an entry."""
    facts = entry['Metadata']
    figures = (figure(entry, key) for key in ('Reported by authors', 'Results'))
    name, size = f'mmseq::{entry["Name"]}', f'{facts["Parameters"] / 1e6:.1f} M'
    return (name, facts['Task'], facts['Training Data'], size, *figures)


def figure(entry: Mapping[str, Any], key: str) -> str:
    """The first figure under a key."""
    for name, value in (entry.get(key) or {}).get('Metrics', {}).items():
        return f'{name} {value}'
    return '-'


def summary_row(folder: Path, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The first line of a config beside its name."""
    text = (folder / f'{entry["Name"]}.py').read_text(encoding='utf-8')
    return f'mmseq::{entry["Name"]}', (ast.get_docstring(ast.parse(text)) or '').partition('\n')[0]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, with columns of one width."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ['  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
