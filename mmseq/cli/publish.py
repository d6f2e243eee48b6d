"""Strip a training checkpoint to its weights and name it by its digest."""

import argparse
from pathlib import Path

from mmseq.cli import command_parser


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'publish',
        'Write the weights of a checkpoint, without optimizer and logs, as NAME-xxxxxxxx.safetensors with the first '
        'digits of its SHA-256. Loading the file compares its content with its name.',
        'mmseq publish work_dirs/x/epoch_12.pth release/mask_rcnn_seq2d_s',
    )
    parser.add_argument('source', metavar='SRC', help='checkpoint: a file or an address')
    parser.add_argument('name', metavar='NAME', type=Path, help='path of the output, without digest and suffix')
    parser.add_argument('--ema', action='store_true', help='publish the EMA weights')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    from mmseq.checkpoints.digest import file_sha256
    from mmseq.weights.publish import publish

    path, remarks = publish(args.source, args.name, args.ema)
    for remark in remarks:
        print(f'note       {remark}')
    print(f'written    {path}, sha256 {file_sha256(path)}')
    return 0
