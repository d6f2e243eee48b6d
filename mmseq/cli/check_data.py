"""Check the data of a config."""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from mmseq.cli import add_data_arguments, add_model_arguments, command_parser, own_data, plainly, positive

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'check-data',
        'Check the annotations of a config and a sample of its images and label maps, or all of them, for missing, '
        'empty and truncated files, wrong sizes, labels and boxes out of range, duplicate ids, categories that differ '
        "from the head's, and classes that never occur. Prints a count per fault and, for the first case, how to fix "
        'it. Writes data_check.json into the work dir. The exit status is 1 if there are errors.',
        'mmseq check-data mmseq::upernet_seq2d_s_ade20k --all',
        'mmseq check-data --data data/mine/card.yaml',
    )
    add_model_arguments(parser, optional=True)
    add_data_arguments(parser)
    number = parser.add_mutually_exclusive_group()
    number.add_argument('--all', action='store_true', help='open every image and label map, with progress')
    number.add_argument(
        '--sample',
        type=positive,
        default=64,
        metavar='N',
        help='open N images of each data set, evenly spaced (default: 64)',
    )
    return parser


@plainly
def main(argv: list[str] | None = None) -> int:
    """Returns 1 if errors were found, else 0; raises InputError for a config that cannot be read."""
    args = build_parser().parse_args(argv)
    from mmseq.config import load_config
    from mmseq.engine.ignored_pixels import check_ignored_pixels, check_zero_label
    from mmseq.engine.preflight import check_class_counts, examine_datasets, save_reports
    from mmseq.explain.work import inference
    from mmseq.files import from_here

    given = args.config
    change = own_data(args)
    cfg = load_config(args.config, args.cfg_options, args.work_dir, change)
    check_class_counts(cfg)
    check_ignored_pixels(cfg, LOADERS)
    check_zero_label(cfg, LOADERS)
    reports = examine_datasets(inference(cfg), LOADERS, None if args.all else args.sample, progress)
    for report in reports:
        print(f'{from_here(report.where)}: {report.total} images, {report.checked} opened')
        for finding in report.errors() + report.warnings():
            print(f'  {finding.level} {finding.kind} {finding.count}: {finding.message}')
        if not report.findings:
            print('  sound')
    if not reports:
        print('no data set of a kind that can be checked: COCO annotations, VOC XML or label maps in local folders')
    print(f'written: {save_reports(cfg, reports)}')
    first = next((finding for report in reports for finding in report.errors()), None)
    if first is None:
        print(f'next: {next_command(given, args.data)}')
        return 0
    print(f'error: {first.message}', file=sys.stderr, flush=True)
    return 1


def next_command(config: str | None, data: str | None) -> str:
    """The training on what was checked, as it was named."""
    return ' '.join(['mmseq train', *([config] if config else []), *(['--data', data] if data else [])])


def progress(items: Iterable[Any], total: int) -> Iterator[Any]:
    """Iterate over the items; after a second, show progress and the time left on stderr."""
    start = shown = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - shown > 1 or (done == total and shown > start):
            left = (now - start) / done * (total - done)
            print(f'\r{done}/{total} images, {left:.0f} s left ', end='', file=sys.stderr, flush=True)
            shown = now
    if shown > start:
        print(file=sys.stderr)
