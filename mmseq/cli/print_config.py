"""A config with all that it inherits, or what it changes of it."""

import argparse
import json
from collections.abc import Sequence
from pprint import pformat
from textwrap import indent
from typing import TYPE_CHECKING, Any

from mmseq.cli import add_config_file
from mmseq.errors import InputError

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmseq.runs.config_diff import Change

# What --diff holds without another config.
BASES = ''
WIDTH = 116


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='print_config.py',
        description='Print a config with all that it inherits, as Python that is a config again, or as JSON; or print '
        'what it changes of what it inherits, or how it differs from another config. Nothing is fitted to this '
        'machine, and nothing is built.',
        epilog='example: python tools/print_config.py configs/upernet_seq2d_m_ade20k.py --diff '
        'configs/upernet_seq2d_s_ade20k.py',
    )
    add_config_file(parser)
    parser.add_argument(
        '--diff',
        nargs='?',
        const=BASES,
        metavar='OTHER',
        help='what is different in it from another config, or, without one, from what it inherits',
    )
    parser.add_argument('--json', action='store_true', help='JSON in place of Python')
    parser.add_argument('--out', metavar='FILE', help='write into this file in place of the terminal')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for what the user can mend."""
    args = build_parser().parse_args(argv)
    from mmseq.config import read_config
    from mmseq.files import jsonable, write_text

    cfg = read_config(args.config, args.cfg_options)
    if args.diff is not None:
        from mmseq.runs.config_diff import difference

        changes = difference(other(args, cfg), cfg)
        text = json.dumps(jsonable(records(changes)), indent=2) if args.json else describe(changes)
    elif args.json:
        text = json.dumps(jsonable(cfg.to_dict()), indent=2)
    else:
        text = python(args, cfg)
    if args.out is None:
        print(text.rstrip('\n'))
        return 0
    try:
        print(write_text(args.out, f'{text.rstrip()}\n'))
    except OSError as error:
        raise InputError(f'--out {args.out}: cannot be written ({error.strerror})') from error
    return 0


def other(args: argparse.Namespace, cfg: 'Config') -> 'Config':
    """What the config is compared with.

    Raises:
        InputError: it is to be compared with what it inherits, and inherits nothing.
    """
    from mmseq.config import read_config
    from mmseq.runs.config_diff import read_bases

    if args.diff != BASES:
        return read_config(args.diff, {})
    bases = read_bases(cfg.filename)
    if bases is None:
        raise InputError(f'config {args.config}: inherits nothing (no _base_); name a config after --diff')
    return bases


def python(args: argparse.Namespace, cfg: 'Config') -> str:
    """The config as a file that gives the same again.

    Raises:
        InputError: something in it has no such form.
    """
    from mmengine.config import Config

    options = ''.join(f' {key}={value!r}' for key, value in args.cfg_options.items())
    text = f'# {args.config}, with all that it inherits{" and" * bool(options)}{options}\n{cfg.pretty_text}'
    try:
        again = Config.fromstring(text, '.py')
    except (NameError, SyntaxError, TypeError, ValueError) as error:
        raise InputError(f'config {args.config}: cannot be written as Python ({error}); use --json') from error
    if again.to_dict() != cfg.to_dict():
        raise InputError(f'config {args.config}: holds values that Python text does not keep; use --json')
    return text


def records(changes: Sequence['Change']) -> list[dict[str, Any]]:
    """For a JSON file; ``old`` of what was added and ``new`` of what was removed are absent."""
    from mmseq.runs.config_diff import ABSENT

    rows = []
    for change in changes:
        values = {name: value for name, value in (('old', change.old), ('new', change.new)) if value is not ABSENT}
        rows.append(dict(key=change.key, kind=change.kind, **values))
    return rows


def describe(changes: Sequence['Change']) -> str:
    """A line for each change, or as many as its values need: + what is new, - what is gone, ~ what is another."""
    if not changes:
        return 'no difference'
    lines = []
    for change in changes:
        sign = dict(added='+', removed='-', changed='~')[change.kind]
        values = [pformat(plain, width=WIDTH, sort_dicts=False) for plain in shown(change)]
        line = f'{sign} {change.key}: {" -> ".join(values)}'
        if len(line) > WIDTH or '\n' in line:
            line = f'{sign} {change.key}:\n' + indent('\n->\n'.join(values), '      ').replace('      ->', '    ->')
        lines.append(line)
    return '\n'.join(lines)


def shown(change: 'Change') -> list[Any]:
    """The values of a change that there are, in Python's own types."""
    from mmseq.runs.config_diff import ABSENT, plain

    return [plain(value) for value in (change.old, change.new) if value is not ABSENT]
