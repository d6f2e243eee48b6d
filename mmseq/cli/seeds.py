"""Train a config with several seeds."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmseq.cli import add_config_name, add_data_arguments, add_processes_of_each, command_parser, own_data, positive
from mmseq.errors import InputError

# Options that this command sets for each training.
OWN_OPTIONS = frozenset(('--seed', '--work-dir', '--resume', '--launcher', '--gpus', '--processes'))


class Parser(argparse.ArgumentParser):
    """Keeps the arguments after -- for the trainings; argparse would take them as positional arguments."""

    # argparse's takes namespaces of any class.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        args = list(sys.argv[1:] if args is None else args)
        cut = args.index('--') if '--' in args else len(args)
        found, unknown = super().parse_known_args(args[:cut], namespace)
        found.options = args[cut + 1 :]
        return found, unknown


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'seeds',
        'Train a config with several seeds, one after another, and print mean, standard deviation and range of every '
        'metric. Writes seeds.json and seeds.csv into the work dir. The same command again continues unfinished '
        'trainings; a larger number of seeds adds new ones.',
        'mmseq seeds mmseq::upernet_seq2d_nano_shapes --seeds 3 -- --amp',
        parser_class=Parser,
    )
    parser.usage = '%(prog)s [-h] [CONFIG] [--data CARD] [--seeds N] [...] [-- options of mmseq train]'
    add_config_name(parser, optional=True)
    add_data_arguments(parser, epochs=True)
    parser.add_argument('--seeds', type=positive, default=3, metavar='N', help='number of seeds (default: 3)')
    parser.add_argument('--first-seed', type=int, default=0, metavar='SEED', help='the first seed (default: 0)')
    add_processes_of_each(parser)
    parser.add_argument('--work-dir', metavar='DIR', help='output folder (default: work_dirs/<config name>_seeds)')
    return parser


def data_options(args: argparse.Namespace) -> list[str]:
    """The options on own data as each training gets them."""
    given = {'--data': args.data, '--epochs': args.epochs, '--image-size': args.image_size}
    return [text for name, value in given.items() if value is not None for text in (name, str(value))]


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    own = OWN_OPTIONS & {option.partition('=')[0] for option in args.options}
    if own:
        raise InputError(f'{", ".join(sorted(own))} after --: is set for each run; leave it out there')
    from mmseq.config import config_file
    from mmseq.engine.seeds import STATISTICS, run_seeds, table

    own_data(args)
    folder = Path(args.work_dir or Path('work_dirs') / f'{Path(config_file(args.config)).stem}_seeds')
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    report = run_seeds(args.config, seeds, folder, args.processes, [*data_options(args), *args.options])
    rows = table(report)
    width = max([len(row[0]) for row in rows] + [6])
    print(f'{len(report["seeds"])} seeds: {", ".join(report["seeds"])}')
    print(f'{"metric":{width}}' + ''.join(f'{name:>10}' for name in STATISTICS))
    for row in rows:
        cells = ('-' if value is None else f'{value:.4g}' for value in row[-len(STATISTICS) :])
        print(f'{row[0]:{width}}' + ''.join(f'{cell:>10}' for cell in cells))
    print(f'written: {folder / "seeds.json"}, {folder / "seeds.csv"}')
    return 0
