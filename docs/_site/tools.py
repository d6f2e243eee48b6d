"""Every command line, from the table of commands and each one's own parser."""

import argparse
import re
from functools import partial
from textwrap import dedent

from mmseq.cli.commands import GROUPS, Command, parser_of

# Options, names with underscores, and files with the endings that the tools read and write.
CODE = re.compile(
    r'(?<![\w/.-])(python -m [\w.]+|--?[A-Za-z][\w-]*|[\w./]*\w_\w[\w./*-]*(?:=[\w.]+)?'
    r'|[\w./*<>{}:-]+\.(?:jsonl?|csv|png|html|yml|py|pth|safetensors|onnx|txt))(?!\w)'
)
SPECIAL = re.compile(r'([\\`*_\[\]<>#|{}$])')


def markdown() -> str:
    """A section for each group of commands: its list, and a subsection for each command."""
    return '\n'.join(
        f'## {group.capitalize()}\n\n{listed(group)}\n' + '\n'.join(map(describe, GROUPS[group])) for group in GROUPS
    )


def listed(group: str) -> str:
    """The commands of a group with what each is for."""
    return ''.join(f'- [{one.name}](#mmseq-{one.name}): {prose(one.summary)}\n' for one in GROUPS[group])


def describe(command: Command) -> str:
    """What a command does, its usage, its arguments, its examples."""
    parser = parser_of(command)
    parser.formatter_class = partial(parser.formatter_class, width=84, max_help_position=84)
    usage = re.sub(r'^usage: ', '', parser.format_usage()).replace('\n       ', '\n')
    formatter = parser._get_formatter()
    arguments = [argument(formatter, action) for action in parser._actions if action.dest != 'help']
    return (
        f'### mmseq {command.name}\n\n{prose(parser.description)}\n\n'
        f'```text\n{usage.rstrip()}\n```\n\n{"".join(arguments)}\n{examples(parser.epilog)}\n'
    )


def argument(formatter: argparse.HelpFormatter, action: argparse.Action) -> str:
    """An entry of a definition list: how an argument is written, and what it means."""
    return f'`{formatter._format_action_invocation(action)}`\n: {prose(formatter._expand_help(action))}\n\n'


def examples(epilog: str) -> str:
    """The end of --help: titles with a colon, and below each its indented lines as they are typed."""
    blocks = re.findall(r'^(\S.*):\n((?: .*\n?)+)', epilog, re.MULTILINE)
    return '\n'.join(f'{title.capitalize()}\n\n```text\n{dedent(lines).strip()}\n```\n' for title, lines in blocks)


def prose(text: str) -> str:
    """Text of --help as Markdown: options and files as code, everything else as it stands."""
    pieces = CODE.split(' '.join(text.split()))
    return ''.join(f'`{piece}`' if number % 2 else SPECIAL.sub(r'\\\1', piece) for number, piece in enumerate(pieces))
