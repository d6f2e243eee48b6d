"""Several runs in one table."""

import argparse
from pathlib import Path

from mmseq.cli import RUNS_HELP, command_parser


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'compare',
        'Compare trainings: final and best metrics, iterations, time, memory, and the config entries in which they '
        'differ. Runs that differ by their seed alone share a row with mean, standard deviation and range. Writes '
        'compare.json and compare.csv with every figure, and compare.md, into the output folder.',
        'mmseq compare work_dirs/upernet_a work_dirs/upernet_b_seeds',
    )
    parser.add_argument('runs', nargs='+', metavar='WORK_DIR', help=RUNS_HELP)
    parser.add_argument(
        '--metrics',
        nargs='+',
        default=[],
        metavar='NAME',
        help="metrics to show, with * and ?, such as 'coco/bbox_*' (default: mIoU, mAP or PQ)",
    )
    parser.add_argument(
        '--format', choices=['text', 'markdown'], default='text', help='format of the printed tables (default: text)'
    )
    parser.add_argument(
        '--out', default='work_dirs/compare', metavar='DIR', help='output folder (default: work_dirs/compare)'
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    from mmseq.files import write_csv, write_json, write_text
    from mmseq.runs import comparison
    from mmseq.runs.run import read_runs

    groups = comparison.group_runs(read_runs(args.runs))
    tables = [comparison.summary_rows(groups, comparison.choose_metrics(groups, args.metrics))]
    if len(groups) > 1:
        tables.append(comparison.difference_rows(groups))
    markdown = '\n\n'.join(comparison.as_markdown(*table) for table in tables)
    print(markdown if args.format == 'markdown' else '\n\n'.join(comparison.align(*table) for table in tables))
    folder = Path(args.out)
    write_json(folder / 'compare.json', comparison.as_dict(groups))
    write_csv(folder / 'compare.csv', *comparison.full_rows(groups))
    write_text(folder / 'compare.md', markdown + '\n')
    print(f'\nwritten: {folder}/compare.json, compare.csv, compare.md')
    return 0
