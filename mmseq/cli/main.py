"""The command ``mmseq``, installed with the package."""

import importlib
import sys

from mmseq import __version__
from mmseq.cli import run
from mmseq.cli.commands import GROUPS, check_arguments, find, parser_of

USAGE = 'usage: mmseq COMMAND [...]     mmseq COMMAND --help explains one, with an example\n'
START = """\
start here:
  mmseq doctor                              check this installation
  mmseq demo                                train and evaluate on generated images, in minutes
  mmseq import-data photos --out data/mine  read your own labels, of any known format
  mmseq train --data data/mine/card.yaml    train on them
  mmseq report work_dirs/RUN                look at the run, whose folder the training prints
  mmseq infer work_dirs/RUN photos          predict
"""
END = """\
The scripts of tools/ do the same; mmseq accepts their names as well.
Documentation: docs/ of the source, beginning with docs/index.md; make docs builds the site."""


def main(argv: list[str] | None = None) -> int:
    """Run the command that the first argument names with the others.

    Returns:
        The exit status of the command.

    Raises:
        InputError: no such command, an unknown option, or bad input to the command.
    """
    name, *arguments = (sys.argv[1:] if argv is None else argv) or ['--help']
    if name in ('-V', '--version'):
        print(f'mmseq {__version__}')
        return 0
    if name == 'help' and arguments:
        name, arguments = arguments[0], ['--help']
    if name in ('-h', '--help', 'help'):
        print(overview())
        return 0
    command = find(name)
    # For mistakes, which end in one line; the command parses its arguments again.
    check_arguments(parser_of(command), arguments)
    return importlib.import_module(command.module).main(arguments)


def overview() -> str:
    """The list of all commands."""
    width = max(len(command.name) for group in GROUPS.values() for command in group)
    lines = [USAGE, START]
    for title, group in GROUPS.items():
        lines += [f'{title}:', *(f'  {command.name:{width}}  {command.summary}' for command in group), '']
    return '\n'.join([*lines, END])


def command() -> None:
    """Entry point of the console script."""
    run(main)
