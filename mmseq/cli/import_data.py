"""Labels of any known format as a data card."""

import argparse

from mmseq.cli import command_parser


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'import-data',
        'Read the labels of your own data and write them as mmseq trains on them: COCO json or label maps, a data card '
        'card.yaml, and sheet.png, twelve images with their labels to look at. It reads COCO json, YOLO, Pascal VOC '
        'XML, LabelMe json, CVAT XML, and label maps as indices, palettes, black and white, 16 bits or colours. '
        'Images stay where they are. Splits in the data (train, valid, test) are kept; otherwise images are drawn for '
        'validation, and images with the same content stay together. The folder is written completely or not at all.',
        'mmseq import-data photos/ --out data/mine',
        'mmseq import-data images/ masks/ --out data/mine --classes crack --val 0.1',
    )
    parser.add_argument('sources', nargs='+', metavar='SRC', help='folders or files of one data set, labels and images')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write')
    parser.add_argument(
        '--task', choices=('boxes', 'instances', 'semantic'), help='task to train (default: decided by the labels)'
    )
    number = parser.add_mutually_exclusive_group()
    number.add_argument(
        '--val', type=float, default=0.2, metavar='SHARE', help='share of the images for validation (default: 0.2)'
    )
    number.add_argument('--val-from', metavar='DIR', help='folder of images and labels for validation')
    parser.add_argument(
        '--classes',
        nargs='+',
        default=(),
        metavar='NAME',
        help='for objects: the classes to take, in this order; for label maps: the names of their values, with or '
        'without the background (default: all, with their own names)',
    )
    parser.add_argument('--colours', metavar='FILE', help='for coloured label maps: lines such as "255 0 0 car"')
    parser.add_argument(
        '--ignore',
        nargs='+',
        type=int,
        default=(),
        metavar='VALUE',
        help='for label maps: values that are no class, such as a void of 11; 255 is always ignored',
    )
    parser.add_argument(
        '--format',
        choices=('coco', 'yolo', 'voc', 'labelme', 'cvat', 'maps'),
        help='read this format, if there are several',
    )
    parser.add_argument('--name', help="name of the data set (default: the folder's)")
    parser.add_argument('--seed', type=int, default=0, help='seed for drawing the validation images (default: 0)')
    parser.add_argument('--copy', action='store_true', help='copy the images into the folder')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier import')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    # Imported late, so that --help does not wait for them.
    from pathlib import Path

    from mmseq.datasets.own.importing import CARD, SHEET, import_data
    from mmseq.pictures.own_data import draw_sheet

    card = import_data(**vars(args), tell=print)
    sheet = draw_sheet(card, Path(args.out, SHEET))
    print(f'\nwritten: {Path(args.out, CARD)}\nlook at: {sheet}\nnext: mmseq train --data {Path(args.out, CARD)}')
    return 0
