"""The commands of ``mmseq``: names, and where each is; a module is imported when its command is used."""

import argparse
import importlib
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn

from mmseq.errors import InputError


@dataclass(frozen=True)
class Command:
    """A command.

    Args:
        name: what follows ``mmseq``.
        module: has ``build_parser()`` and ``main(argv)``.
        summary: its line in ``mmseq --help``.
        tool: the script of tools/ that does the same, without suffix; empty if there is none.
    """

    name: str
    module: str
    summary: str
    tool: str = ''

    def names(self) -> set[str]:
        """All that it answers to: its own name, and the script's, with dashes or underscores, with the suffix."""
        tool = {self.tool, f'{self.tool}.py', self.tool.replace('_', '-')} if self.tool else set()
        return {self.name, self.name.replace('-', '_')} | tool


GROUPS: dict[str, tuple[Command, ...]] = {
    'begin': (
        Command('doctor', 'mmseq.doctor', 'check this installation, and say what to do', 'doctor'),
        Command('demo', 'mmseq.cli.demo', 'train and evaluate small models on generated pictures', 'demo'),
        Command('completion', 'mmseq.cli.completion', 'completion of this command in bash, zsh or tcsh'),
    ),
    'configs': (
        Command('configs', 'mmseq.cli.configs', 'list the configs that come with mmseq'),
        Command(
            'print-config', 'mmseq.cli.print_config', 'a config with all it inherits, or differences', 'print_config'
        ),
    ),
    'train and evaluate': (
        Command('train', 'mmseq.cli.train', 'train the model of a config', 'train'),
        Command('test', 'mmseq.cli.test', "evaluate a checkpoint on a config's test data", 'test'),
        Command('confusion', 'mmseq.cli.confusion', 'which classes are taken for which', 'confusion'),
        Command('report', 'mmseq.cli.report', 'one page of a run: curves, classes, errors, pictures', 'report'),
        Command('seeds', 'mmseq.cli.seeds', 'train with several seeds: mean, deviation and range', 'seeds'),
        Command('compare', 'mmseq.cli.compare', 'runs in one table, seeds in one row', 'compare'),
        Command('plot-logs', 'mmseq.cli.plot_logs', 'the curves of runs in one picture', 'plot_logs'),
    ),
    'predict': (
        Command('infer', 'mmseq.cli.infer', 'detect or segment what is on pictures and videos', 'infer'),
        Command('demo-app', 'mmseq.cli.demo_app', 'the same on a web page, for one picture', 'demo_app'),
        Command('erf', 'mmseq.cli.erf', 'how far the cells of a backbone see', 'erf'),
        Command('export-onnx', 'mmseq.cli.export_onnx', 'a model for onnxruntime, compared with torch', 'export_onnx'),
    ),
    'data': (
        Command('check-data', 'mmseq.cli.check_data', 'check the images and annotations of a config', 'check_data'),
        Command(
            'browse-dataset', 'mmseq.cli.browse_dataset', 'pictures of what a model is trained on', 'browse_dataset'
        ),
        Command('make-shapes', 'mmseq.cli.make_shapes', "write the demo's generated data set", 'make_shapes'),
    ),
    'cost': (
        Command('flops', 'mmseq.cli.flops', "parameters and operations of a config's model", 'get_flops'),
        Command('benchmark', 'mmseq.cli.benchmark', 'images per second, latency and memory', 'benchmark'),
    ),
    'weights': (
        Command('convert', 'mmseq.cli.convert', 'weights from one layout to another', 'convert_checkpoint'),
        Command('average', 'mmseq.cli.average', 'the mean of several checkpoints', 'average_checkpoints'),
        Command('publish', 'mmseq.cli.publish', 'strip a checkpoint to its weights and name it', 'publish_checkpoint'),
    ),
}
COMMANDS = tuple(command for group in GROUPS.values() for command in group)


def find(name: str) -> Command:
    """The command of a name, or of the name of its script.

    Raises:
        InputError: there is none; names those nearest.
    """
    for command in COMMANDS:
        if name in command.names():
            return command
    known = {
        alias.replace('_', '-').removesuffix('.py'): command.name for command in COMMANDS for alias in command.names()
    }
    near = get_close_matches(name, known, 3, cutoff=0.5)
    listed = ', '.join(dict.fromkeys(known[match] for match in near))
    advice = f'nearest: {listed}' if listed else 'mmseq --help lists them'
    raise InputError(f'mmseq {name}: no such command; {advice}')


def parser_of(command: Command) -> argparse.ArgumentParser:
    """The command line of a command, which calls itself ``mmseq NAME`` and not by its script."""
    parser = importlib.import_module(command.module).build_parser()
    parser.prog = f'mmseq {command.name}'
    for text in ('description', 'epilog', 'usage'):
        setattr(parser, text, by_command(getattr(parser, text)))
    for action in parser._actions:
        action.help = by_command(action.help)
    return parser


def by_command(text: str | None) -> str | None:
    """A text of --help with the commands in the place of scripts."""
    for command in COMMANDS if text else ():
        if command.tool:
            script = rf'python -m mmseq\.{command.tool}\b|(?:python )?(?:tools/)?\b{command.tool}\.py\b'
            text = re.sub(script, f'mmseq {command.name}', text)
    return text


def check_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    """Read a command line for what is wrong with it, and print its help if that is asked for.

    Raises:
        InputError: what argparse would say in more lines, and the nearest of an option that there is not.
    """

    def refuse(message: str) -> NoReturn:
        raise InputError(f'{parser.prog}: {message}; {parser.prog} --help explains')

    parser.error = refuse
    unknown = parser.parse_known_args(arguments)[1]
    if not unknown:
        return
    if not unknown[0].startswith('-'):
        refuse(f'one argument too many: {unknown[0]}')
    known = [option for action in parser._actions for option in action.option_strings]
    near = get_close_matches(unknown[0].partition('=')[0], known, 3)
    refuse(f'no option {unknown[0]}' + (f'; nearest: {", ".join(near)}' if near else ''))
