"""Completion of the command ``mmseq`` in shells."""

import argparse
from pathlib import Path
from typing import Any

from mmseq.cli import command_parser

SHELLS = ('bash', 'zsh', 'tcsh')
USE = """\
to use it:
  bash   eval "$(mmseq completion bash)" in ~/.bashrc
  zsh    mmseq completion zsh > DIR/_mmseq, where DIR is in $fpath
  tcsh   mmseq completion tcsh > FILE, and source FILE in ~/.tcshrc"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'completion',
        'Print a script that lets a shell complete commands, options, their choices and files.',
        'mmseq completion bash',
    )
    parser.epilog = f'{parser.epilog}\n{USE}'
    parser.add_argument('shell', choices=SHELLS, help=f'one of {", ".join(SHELLS)}')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 0."""
    args = build_parser().parse_args(argv)
    import shtab

    print(shtab.complete(whole_parser(), args.shell))
    return 0


def whole_parser() -> argparse.ArgumentParser:
    """All commands in one parser, whose arguments say whether files or folders complete them."""
    # Here and not above: the table of commands names this module.
    from mmseq.cli.commands import COMMANDS, parser_of

    parser = argparse.ArgumentParser(prog='mmseq')
    parser.add_argument('--version', action='store_true', help='print the version')
    commands = parser.add_subparsers(dest='command')
    for command in COMMANDS:
        own = parser_of(command)
        for action in own._actions:
            complete_files(action)
        commands.add_parser(command.name, parents=[own], add_help=False, help=command.summary)
    return parser


def complete_files(action: argparse.Action) -> None:
    """Let an argument be completed with files or folders if it may be one."""
    import shtab

    # shtab reads an attribute that argparse's own actions do not have.
    completed: Any = action
    if action.nargs == 0 or action.choices is not None or action.type not in (None, str, Path):
        return
    if action.metavar == 'DIR' or action.dest.endswith('_dir'):
        completed.complete = shtab.DIRECTORY
    elif action.dest != 'cfg_options':
        completed.complete = shtab.FILE
