"""The configs that come with mmseq."""

import argparse
import ast
from fnmatch import fnmatch

from mmseq.cli import command_parser
from mmseq.errors import InputError


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'configs',
        'List the configs that come with mmseq, with a summary of each. Every command takes one by the name that is '
        "listed, mmseq::NAME, and a config of your own inherits it with _base_ = 'mmseq::NAME.py'.",
        "mmseq configs 'upernet*ade20k'",
    )
    parser.add_argument('patterns', nargs='*', metavar='PATTERN', help='names to list, with * and ? (default: all)')
    parser.add_argument('--folder', action='store_true', help='print only the folder of the configs')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError where there is none."""
    args = build_parser().parse_args(argv)
    from mmseq.compat.shipped_configs import folder

    if args.folder:
        print(folder())
        return 0
    found = [path for path in sorted(folder().glob('*.py')) if matches(path.stem, args.patterns)]
    if not found:
        raise InputError(f'no config is called {" or ".join(args.patterns)}; mmseq configs lists all')
    width = max(len(path.stem) for path in found)
    for path in found:
        summary = (ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or '').partition('\n')[0]
        print(f'mmseq::{path.stem:{width}}  {summary}'.rstrip())
    return 0


def matches(name: str, patterns: list[str]) -> bool:
    """Whether one of the patterns is in the name or matches all of it; without patterns, every name matches."""
    return not patterns or any(fnmatch(name, pattern) or fnmatch(name, f'*{pattern}*') for pattern in patterns)
