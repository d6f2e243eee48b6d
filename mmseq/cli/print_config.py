"""A config with all that it inherits, or its differences from another."""

import argparse
import ast
import json
from collections.abc import Sequence
from pprint import pformat
from textwrap import indent
from typing import TYPE_CHECKING, Any

from mmseq.cli import add_config_file, add_data_arguments, command_parser, own_data
from mmseq.errors import InputError

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmseq.runs.config_diff import Change

# The value of --diff without another config.
BASES = ''
WIDTH = 116


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'print-config',
        'Print a config with all that it inherits, as Python that is a valid config, or as JSON; or print its '
        'differences from what it inherits or from another config. Nothing is built, and nothing is adapted to this '
        'machine.',
        'mmseq print-config mmseq::upernet_seq2d_m_ade20k --diff mmseq::upernet_seq2d_s_ade20k',
    )
    add_config_file(parser, optional=True)
    add_data_arguments(parser, epochs=True)
    parser.add_argument(
        '--diff',
        nargs='?',
        const=BASES,
        metavar='OTHER',
        help='print the differences from another config, or, without a name, from what the config inherits',
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of Python')
    parser.add_argument('--out', metavar='FILE', help='write to this file instead of the terminal')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    from mmseq.addresses import public_text
    from mmseq.config import read_config
    from mmseq.files import jsonable, write_text

    own = own_data(args)
    cfg = read_config(args.config, args.cfg_options, own)
    if args.diff is not None:
        from mmseq.runs.config_diff import difference

        changes = difference(other(args, cfg), cfg)
        text = json.dumps(jsonable(records(changes)), indent=2) if args.json else describe(changes)
    elif args.json:
        text = json.dumps(jsonable(cfg.to_dict()), indent=2)
    else:
        text = python(args, cfg, own.notes(args.config))
    text = public_text(text)
    if args.out is None:
        print(text.rstrip('\n'))
        return 0
    try:
        print(write_text(args.out, f'{text.rstrip()}\n'))
    except OSError as error:
        raise InputError(f'--out {args.out}: cannot be written ({error.strerror})') from error
    return 0


def other(args: argparse.Namespace, cfg: 'Config') -> 'Config':
    """The config to compare with.

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


def python(args: argparse.Namespace, cfg: 'Config', notes: Sequence[str]) -> str:
    """The config as Python text; read or executed, it gives the same config but for secrets in addresses.

    Raises:
        InputError: a value cannot be written as Python.
    """
    from mmseq.addresses import public_values
    from mmseq.saved_config import values

    options = ''.join(f' {key}={value!r}' for key, value in args.cfg_options.items())
    text = f'# {args.config}, with all that it inherits{" and" * bool(options)}{options}\n'
    text += ''.join(f'# {note}\n' for note in notes) + cfg.pretty_text
    try:
        # mmengine would put what the environment holds into the text, and run it.
        again = values(text, args.config)
    except InputError as error:
        raise InputError(f'config {args.config}: cannot be written as Python ({error}); use --json') from error
    if odd := {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)} - {'dict', *again}:
        raise InputError(f'config {args.config}: cannot be written as Python ({odd.pop()} is no value); use --json')
    if again != public_values(cfg.to_dict()):
        raise InputError(f'config {args.config}: holds values that Python text does not keep; use --json')
    return text


def records(changes: Sequence['Change']) -> list[dict[str, Any]]:
    """The changes for a JSON file; additions have no ``old``, removals no ``new``."""
    from mmseq.runs.config_diff import ABSENT

    rows = []
    for change in changes:
        values = {name: value for name, value in (('old', change.old), ('new', change.new)) if value is not ABSENT}
        rows.append(dict(key=change.key, kind=change.kind, **values))
    return rows


def describe(changes: Sequence['Change']) -> str:
    """The changes as text: ``+`` added, ``-`` removed, ``~`` changed; long values take several lines."""
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
    """The old and new value of a change, without an absent one, in Python's own types."""
    from mmseq.runs.config_diff import ABSENT, plain

    return [plain(value) for value in (change.old, change.new) if value is not ABSENT]
