"""The confusion matrix of an evaluation as a picture, and the pairs that are confused most."""

import argparse
from pathlib import Path

from mmseq.cli import command_parser, plainly


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'confusion',
        'Draw the confusion matrix of the latest evaluation, in percent of the true classes, with the pairs of classes '
        'that are confused most. Writes confusion.png, confused_pairs.csv and confusion.json.',
        'mmseq confusion work_dirs/upernet_seq2d_nano_shapes --top 20',
    )
    parser.add_argument(
        'path', metavar='WORK_DIR|CSV', help='work dir of a training or test, or its confusion matrix as CSV'
    )
    parser.add_argument(
        '--top',
        type=int,
        default=30,
        metavar='K',
        help='draw at most K classes, those of the most confused pairs (default: 30)',
    )
    parser.add_argument('--pairs', type=int, default=15, metavar='N', help='list at most N pairs (default: 15)')
    parser.add_argument(
        '--by',
        choices=['share', 'count'],
        default='share',
        help='rank pairs by their share of the true class (default) or by count',
    )
    parser.add_argument('--out', metavar='DIR', help='output folder (default: the folder of the matrix)')
    return parser


@plainly
def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    from mmseq.errors import InputError
    from mmseq.runs.confusion import confused_pairs, find_confusion, read_confusion
    from mmseq.runs.confusion_plot import short, write_confusion

    if args.top < 2:
        raise InputError(f'--top {args.top}: expected at least 2 classes')
    if args.pairs < 0:
        raise InputError(f'--pairs {args.pairs}: expected a number of pairs, 0 for none')
    path = find_confusion(Path(args.path))
    confusion = read_confusion(path)
    for pair in confused_pairs(confusion, args.by)[: args.pairs]:
        print(f'{pair["truth"]:>24} as {pair["prediction"]:24}{pair["share"]:>8.1%}{short(pair["count"]):>10}')
    folder = Path(args.out) if args.out else path.parent
    title = path.resolve().parent.name
    for written in write_confusion(confusion, folder, title, args.top, args.pairs, args.by):
        print(written)
    return 0
