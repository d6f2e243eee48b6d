"""One HTML page about one or several runs."""

import argparse
from pathlib import Path

from mmseq.cli import RUNS_HELP, add_device_argument, command_parser, plainly


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'report',
        'Write one HTML page about one or several trainings: metrics, curves, classes, confusion matrix, kinds of '
        'errors, the best and the worst images with prediction beside truth, the config and its differences from what '
        'it inherits, and the environment. The page is one file and opens without network.',
        'mmseq report work_dirs/upernet_seq2d_nano_shapes',
    )
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help=RUNS_HELP)
    parser.add_argument(
        '--images',
        type=int,
        default=4,
        metavar='N',
        help='number of best and of worst images; 0 loads no model (default: 4)',
    )
    add_device_argument(parser)
    parser.add_argument(
        '--configs',
        type=Path,
        metavar='DIR',
        help="folder of the runs' config files, for the differences from what they inherit (default: that of mmseq)",
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='HTML',
        help='output (default: report.html in the work dir; of several runs, work_dirs/compare/report.html)',
    )
    return parser


@plainly
def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    from functools import partial

    from tqdm import tqdm

    from mmseq.errors import InputError
    from mmseq.runs.report.build import write_report

    if args.images < 0:
        raise InputError(f'--images {args.images}: expected 0 or more')
    if args.configs and not args.configs.is_dir():
        raise InputError(f'--configs {args.configs}: no such folder')
    out = write_report(
        args.work_dirs,
        args.out,
        images=args.images,
        device=args.device,
        configs=args.configs,
        progress=partial(tqdm, unit='image', disable=None),
    )
    print(f'written: {out} ({out.stat().st_size / 2**20:.1f} MB)')
    return 0
