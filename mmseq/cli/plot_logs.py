"""Curves of several runs in one picture."""

import argparse
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='plot_logs.py',
        description='Draw what trainings have logged: losses, metrics, learning rate, time and memory over iterations, '
        'several runs over one another. Writes the picture and, beside it, its points as a CSV file.',
        epilog="example: python tools/plot_logs.py work_dirs/a work_dirs/b --keys loss mIoU 'decode.*'",
    )
    parser.add_argument(
        'work_dirs', nargs='+', metavar='WORK_DIR', help='that of tools/seeds.py stands for those of its seeds'
    )
    parser.add_argument(
        '--keys',
        nargs='+',
        default=[],
        metavar='NAME',
        help='what to draw, with * and ? (default: all of one run; loss, metrics, rate, time and memory of several)',
    )
    parser.add_argument(
        '--smoothing',
        type=float,
        default=0.05,
        metavar='SHARE',
        help='of a curve that the running mean reaches over (0.05); 0 draws curves as they are',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='PNG',
        help='picture (default: logs.png in the work dir; of several runs, work_dirs/compare/logs.png)',
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for what the user can mend."""
    args = build_parser().parse_args(argv)
    from mmseq.errors import InputError
    from mmseq.runs.plot_runs import plot_runs
    from mmseq.runs.run import read_runs

    if not 0 <= args.smoothing <= 1:
        raise InputError(f'--smoothing {args.smoothing}: expected a share from 0 to 1')
    if args.out and args.out.suffix.lower() != '.png':
        raise InputError(f'--out {args.out}: the picture is a PNG; give a name that ends in .png')
    runs = read_runs(args.work_dirs)
    folder = runs[0].folder if len(runs) == 1 else Path('work_dirs/compare')
    out = plot_runs(runs, args.out or folder / 'logs.png', args.keys, args.smoothing)
    print(f'written: {out}, {out.with_suffix(".csv").name}')
    return 0
