"""Every command line, from the table of commands and each one's own parser."""

import argparse
import re
import textwrap
from functools import partial

from mmseq.cli.commands import GROUPS, Command, parser_of

# Options, names with underscores, and files with the endings that the tools read and write.
CODE = re.compile(
    r'(?<![\w/.-])(--?[A-Za-z][\w-]*|[\w./]*\w_\w[\w./*-]*(?:=[\w.]+)?'
    r'|[\w./*<>{}:-]+\.(?:jsonl?|csv|png|html|yml|py|pth|safetensors|onnx|txt))(?!\w)'
)
SPECIAL = re.compile(r'([\\`*_\[\]<>#|{}$])')


def markdown() -> str:
    """A section for each group of commands, a part of it for each command."""
    return '\n'.join(f'## {group.capitalize()}\n\n' + '\n'.join(map(part, GROUPS[group])) for group in GROUPS)


def part(command: Command) -> str:
    """What a command does, how it is called, its arguments, its example."""
    parser = parser_of(command)
    parser.formatter_class = partial(parser.formatter_class, width=84, max_help_position=84)
    usage = re.sub(r'^usage: ', '', parser.format_usage()).replace('\n       ', '\n')
    script = f'\n\nIn a checkout also `python tools/{command.tool}.py`.' if command.tool else ''
    formatter = parser._get_formatter()
    arguments = [argument(formatter, action) for action in parser._actions if action.dest != 'help']
    return (
        f'### mmseq {command.name}\n\n{prose(parser.description or command.summary)}{script}\n\n'
        f'```text\n{usage.rstrip()}\n```\n\n{"".join(arguments)}\n{examples(parser.epilog or "")}\n'
    )


def argument(formatter: argparse.HelpFormatter, action: argparse.Action) -> str:
    """An entry of a definition list: how an argument is written, and what it means."""
    text = prose(formatter._expand_help(action)) if action.help else 'one of ' + ', '.join(action.choices)
    return f'`{formatter._format_action_invocation(action)}`\n: {text}\n\n'


def examples(epilog: str) -> str:
    """The end of --help: what follows "example:" stands as it is typed, one command a line."""
    title, colon, commands = epilog.partition(':')
    if not colon or title not in ('example', 'examples'):
        return prose(epilog)
    lines = textwrap.dedent(commands.strip('\n')) if '\n' in commands else '\n'.join(commands.split('; '))
    return f'{title.capitalize()}\n\n```text\n{lines.strip()}\n```\n'


def prose(text: str) -> str:
    """Text of --help as Markdown: options and files as code, everything else as it stands."""
    pieces = CODE.split(' '.join(text.split()))
    return ''.join(f'`{piece}`' if number % 2 else SPECIAL.sub(r'\\\1', piece) for number, piece in enumerate(pieces))
