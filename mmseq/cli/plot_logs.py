"""Curves of several runs in one plot."""

import argparse
from pathlib import Path

from mmseq.cli import RUNS_HELP, command_parser


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'plot-logs',
        'Plot the logged curves of one or several trainings over iterations: losses, metrics, learning rate, time and '
        'memory. Writes the plot and its points as a CSV file.',
        "mmseq plot-logs work_dirs/a work_dirs/b --keys loss mIoU 'decode.*'",
    )
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help=RUNS_HELP)
    parser.add_argument(
        '--keys',
        nargs='+',
        default=[],
        metavar='NAME',
        help='curves to plot, with * and ? (default: all of one run; of several: loss, metrics, learning rate, time '
        'and memory)',
    )
    parser.add_argument(
        '--smoothing',
        type=float,
        default=0.05,
        metavar='SHARE',
        help='length of the running mean as a share of the curve; 0 for none (default: 0.05)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='PNG',
        help='output (default: logs.png in the work dir; of several runs, work_dirs/compare/logs.png)',
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for bad input."""
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
