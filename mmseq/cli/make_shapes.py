"""Write the generated "shapes" data set."""

import argparse
import sys
import time

from mmseq.cli import command_parser


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'make-shapes',
        'Write the "shapes" data set: generated scenes as COCO instances (coco/) and as ADE20K label maps (ade/) of '
        'the same images. The same options give the same data on every machine.',
        'mmseq make-shapes data/shapes --train 400 --val 100',
    )
    parser.add_argument('root', nargs='?', default='data/shapes', help='folder to write (default: data/shapes)')
    parser.add_argument('--train', type=int, default=400, metavar='N', help='training images (default: 400)')
    parser.add_argument('--val', type=int, default=100, metavar='N', help='validation images (default: 100)')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=(112, 176),
        metavar=('MIN', 'MAX'),
        help='smallest and largest side in pixels (default: 112 176)',
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of all scenes (default: 0)')
    parser.add_argument('--panoptic', action='store_true', help='add panoptic annotations to coco/')
    parser.add_argument('--overwrite', action='store_true', help='replace a shapes data set made with other options')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Write the shapes data set; returns the exit status. Raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    # Imported late, so that --help does not wait for them.
    from mmseq.datasets.shapes import generate
    from mmseq.datasets.shapes_panoptic import write_panoptic

    start = time.monotonic()
    result = generate(
        args.root, args.train, args.val, args.seed, tuple(args.size), overwrite=args.overwrite, progress=_show
    )
    if args.panoptic:
        write_panoptic(args.root)
    counts = f'{result.manifest["train"]} train and {result.manifest["val"]} val images'
    if result.written:
        print(f'{result.root}: wrote {counts} as coco/ and ade/ in {time.monotonic() - start:.1f} s')
    else:
        print(f'{result.root}: {counts} are there already, nothing written')
    return 0


def _show(done: int, total: int) -> None:
    """Progress on one line of stderr; in a log file, one line per tenth."""
    if sys.stderr.isatty():
        print(f'\r{done}/{total} images', end='\n' if done == total else '', file=sys.stderr, flush=True)
    elif done % max(1, total // 10) == 0 or done == total:
        print(f'{done}/{total} images', file=sys.stderr, flush=True)
