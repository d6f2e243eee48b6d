"""Train a config with several seeds."""

import argparse
import sys
from pathlib import Path

from mmseq.errors import InputError


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='seeds.py',
        usage='%(prog)s [-h] CONFIG [--seeds N] [...] [-- options of tools/train.py]',
        description='Train a config with several seeds, one after another, and print mean, standard deviation and '
        'range of every metric. Writes seeds.json and seeds.csv into the work dir. The same command again goes on with '
        'what is unfinished; with more seeds it adds them.',
        epilog='example: python tools/seeds.py configs/upernet_seq2d_nano_shapes.py --seeds 3 -- --amp',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--seeds', type=int, default=3, metavar='N', help='how many (default: 3)')
    parser.add_argument('--first-seed', type=int, default=0, metavar='SEED', help='seeds are this and the next (0)')
    parser.add_argument('--processes', type=int, default=1, metavar='N', help='processes of each training (1)')
    parser.add_argument('--work-dir', help='outputs (default: work_dirs/<config name>_seeds)')
    argv = list(sys.argv[1:] if argv is None else argv)
    # argparse would give what stands after -- to the first positional argument that takes it.
    cut = argv.index('--') if '--' in argv else len(argv)
    args = parser.parse_args(argv[:cut])
    args.options = argv[cut + 1 :]
    if args.seeds < 1 or args.processes < 1:
        parser.error('--seeds and --processes: expected 1 or more')
    return args


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for what the user can mend."""
    args = parse(argv)
    own = {'--seed', '--work-dir', '--resume', '--launcher'} & {option.split('=')[0] for option in args.options}
    if own:
        raise InputError(f'{", ".join(sorted(own))}: seeds.py sets it for each run; leave it out after --')
    from mmseq.engine.seeds import STATISTICS, run_seeds, table

    folder = Path(args.work_dir or Path('work_dirs') / f'{Path(args.config).stem}_seeds')
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
