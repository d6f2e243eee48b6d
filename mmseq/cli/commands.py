"""The commands of ``mmseq``; the module of a command is imported when the command is used."""

import argparse
import importlib
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn

from mmseq.errors import InputError


@dataclass(frozen=True)
class Command:
    """A command.

    Args:
        name: what follows ``mmseq``.
        summary: its line in ``mmseq --help``.
        tool: name of the script in tools/ that does the same, without suffix; empty if there is none.
    """

    name: str
    summary: str
    tool: str = ''

    @property
    def module(self) -> str:
        """The module with ``build_parser()`` and ``main(argv)``, named as the command.

        The doctor is not in ``mmseq.cli``: it must run where the imports of everything else fail.
        """
        return 'mmseq.doctor' if self.name == 'doctor' else f'mmseq.cli.{self.name.replace("-", "_")}'

    def names(self) -> set[str]:
        """All names that find it: its own and the script's, with dashes or underscores, with the suffix."""
        tool = {self.tool, f'{self.tool}.py', self.tool.replace('_', '-')} if self.tool else set()
        return {self.name, self.name.replace('-', '_')} | tool


GROUPS: dict[str, tuple[Command, ...]] = {
    'begin': (
        Command('doctor', 'check this installation, with a fix for each fault', 'doctor'),
        Command('demo', 'train and evaluate small models on generated images', 'demo'),
        Command('completion', 'shell completion for bash, zsh or tcsh'),
    ),
    'configs': (
        Command('configs', 'list the configs that come with mmseq'),
        Command('print-config', 'a config with all it inherits, or its differences', 'print_config'),
    ),
    'train and evaluate': (
        Command('train', 'train the model of a config', 'train'),
        Command('pretrain', 'train a backbone as a classifier of images', 'pretrain'),
        Command('test', "evaluate a checkpoint on a config's test data", 'test'),
        Command('robustness', 'corruptions, outlines, sizes, views, places and calibration', 'robustness'),
        Command('confusion', 'which classes are confused with which', 'confusion'),
        Command('report', 'one HTML page of a run: curves, classes, errors, images', 'report'),
        Command('seeds', 'train with several seeds: mean, deviation and range', 'seeds'),
        Command('compare', 'runs in one table, seeds of one config in one row', 'compare'),
        Command('compare-backbones', 'several backbones under one head, schedule and data'),
        Command('plot-logs', 'the curves of several runs in one plot', 'plot_logs'),
    ),
    'predict': (
        Command('infer', 'detect or segment objects in images and videos', 'infer'),
        Command('classify', 'classes of images; top-1 and top-5 of weights'),
        Command('demo-app', 'a web page that shows predictions for an image', 'demo_app'),
        Command('erf', 'effective receptive fields of a backbone', 'erf'),
        Command('export-onnx', 'export a model to ONNX, compared with torch', 'export_onnx'),
    ),
    'data': (
        Command('import-data', 'read your own labels, of any known format', 'import_data'),
        Command('check-data', 'check the images and annotations of a config', 'check_data'),
        Command('browse-dataset', 'draw the samples that a model is trained on', 'browse_dataset'),
        Command('make-shapes', 'write the generated shapes data set', 'make_shapes'),
    ),
    'cost': (
        Command('flops', "parameters and multiply-adds of a config's model", 'get_flops'),
        Command('benchmark', 'speed and memory of inference', 'benchmark'),
    ),
    'weights': (
        Command('convert', 'convert weights from one layout to another', 'convert_checkpoint'),
        Command('average', 'average the weights of several checkpoints', 'average_checkpoints'),
        Command('publish', 'a checkpoint as a file of weights, or a model on the hub', 'publish_checkpoint'),
    ),
}
COMMANDS = tuple(command for group in GROUPS.values() for command in group)


def find(name: str) -> Command:
    """The command of this name, or whose script has this name.

    Raises:
        InputError: there is none; gives the nearest names.
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
    """The command line of a command."""
    return importlib.import_module(command.module).build_parser()


def check_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    """Check a command line, and print the help if it asks for that.

    Raises:
        InputError: argparse's message as one line; for an unknown option also the nearest known ones.
    """

    def refuse(message: str) -> NoReturn:
        raise InputError(f'{parser.prog}: {message}; {parser.prog} --help explains')

    # Of this parser alone: mypy takes it for the class's method.
    parser.error = refuse  # type: ignore[method-assign]
    unknown = parser.parse_known_args(arguments)[1]
    if not unknown:
        return
    if not unknown[0].startswith('-'):
        refuse(f'one argument too many: {unknown[0]}')
    known = [option for action in parser._actions for option in action.option_strings]
    near = get_close_matches(unknown[0].partition('=')[0], known, 3)
    refuse(f'no option {unknown[0]}' + (f'; nearest: {", ".join(near)}' if near else ''))
