"""A page about one or several runs."""

import argparse
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='report.py',
        description='Write one HTML page about one or several trainings: metrics, curves, classes, confusion matrix, '
        'kinds of errors, the best and the worst images with prediction beside truth, config and its difference to its '
        'bases, environment. It holds everything that it shows and opens without network.',
        epilog='example: python tools/report.py work_dirs/upernet_seq2d_nano_shapes',
    )
    parser.add_argument(
        'work_dirs', nargs='+', metavar='WORK_DIR', help='that of tools/seeds.py stands for those of its seeds'
    )
    parser.add_argument(
        '--images', type=int, default=4, metavar='N', help='of the best and of the worst (4); 0 loads no model'
    )
    parser.add_argument('--device', help='of the models, cpu or cuda (default: cuda if there is one)')
    parser.add_argument(
        '--configs',
        type=Path,
        metavar='FOLDER',
        help="where the runs' config files are, to tell what they change in their bases (default: those of mmseq)",
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='HTML',
        help='the page (default: report.html in the work dir; of several runs, work_dirs/compare/report.html)',
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for what the user can mend."""
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
