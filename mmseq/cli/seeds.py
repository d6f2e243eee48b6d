"""Train a config with several seeds."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmseq.cli import positive
from mmseq.errors import InputError

# What each training is given by this command.
OWN_OPTIONS = frozenset(('--seed', '--work-dir', '--resume', '--launcher', '--gpus', '--processes'))


class Parser(argparse.ArgumentParser):
    """Keeps what stands behind -- for the trainings; argparse would give it to the first positional argument."""

    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        args = list(sys.argv[1:] if args is None else args)
        cut = args.index('--') if '--' in args else len(args)
        found, unknown = super().parse_known_args(args[:cut], namespace)
        found.options = args[cut + 1 :]
        return found, unknown


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog='seeds.py',
        usage='%(prog)s [-h] CONFIG [--seeds N] [...] [-- options of tools/train.py]',
        description='Train a config with several seeds, one after another, and print mean, standard deviation and '
        'range of every metric. Writes seeds.json and seeds.csv into the work dir. The same command again goes on with '
        'what is unfinished; with more seeds it adds them.',
        epilog='example: python tools/seeds.py configs/upernet_seq2d_nano_shapes.py --seeds 3 -- --amp',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--seeds', type=positive, default=3, metavar='N', help='how many (default: 3)')
    parser.add_argument('--first-seed', type=int, default=0, metavar='SEED', help='seeds are this and the next (0)')
    parser.add_argument(
        '--gpus',
        '--processes',
        dest='processes',
        type=positive,
        default=1,
        metavar='N',
        help='GPUs of each training, or processes where there is none (1)',
    )
    parser.add_argument('--work-dir', help='outputs (default: work_dirs/<config name>_seeds)')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for what the user can mend."""
    args = build_parser().parse_args(argv)
    own = OWN_OPTIONS & {option.partition('=')[0] for option in args.options}
    if own:
        raise InputError(f'{", ".join(sorted(own))} after --: is set for each run; leave it out there')
    from mmseq.config import config_file
    from mmseq.engine.seeds import STATISTICS, run_seeds, table

    folder = Path(args.work_dir or Path('work_dirs') / f'{Path(config_file(args.config)).stem}_seeds')
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    report = run_seeds(args.config, seeds, folder, args.processes, args.options)
    rows = table(report)
    width = max([len(row[0]) for row in rows] + [6])
    print(f'{len(report["seeds"])} seeds: {", ".join(report["seeds"])}')
    print(f'{"metric":{width}}' + ''.join(f'{name:>10}' for name in STATISTICS))
    for row in rows:
        cells = ('-' if value is None else f'{value:.4g}' for value in row[-len(STATISTICS) :])
        print(f'{row[0]:{width}}' + ''.join(f'{cell:>10}' for cell in cells))
    print(f'written: {folder / "seeds.json"}, {folder / "seeds.csv"}')
    return 0
