"""Strip a training checkpoint to its weights, or share the whole model."""

import argparse
import tempfile
from pathlib import Path

from mmseq.cli import command_parser, plainly
from mmseq.errors import InputError


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'publish',
        'Write the weights of a checkpoint, without optimizer and logs, as NAME-xxxxxxxx.safetensors with the first '
        'digits of its SHA-256. Loading the file compares its content with its name. With --to, write a folder, or a '
        'repository on the Hugging Face hub, that others load by its name: weights, config, names of classes, metrics '
        'and a model card with an image. It is loaded back before it goes out.',
        'mmseq publish work_dirs/x/epoch_12.pth release/mask_rcnn_seq2d_s',
        'mmseq publish work_dirs/x --to hf://OWNER/NAME --licence apache-2.0',
    )
    parser.add_argument('source', metavar='SRC', help='checkpoint: a file, an address, or a work dir for its best one')
    parser.add_argument(
        'name', metavar='NAME', nargs='?', type=Path, help='path of the output, without digest and suffix'
    )
    parser.add_argument('--ema', action='store_true', help='publish the EMA weights')
    group = parser.add_argument_group('a whole model')
    group.add_argument('--to', metavar='WHERE', help='hf://OWNER/NAME, or a new folder')
    group.add_argument('--licence', metavar='ID', help='such as apache-2.0 (default: unspecified)')
    group.add_argument('--private', action='store_true', help='make the repository private, if it is made')
    image = group.add_mutually_exclusive_group()
    image.add_argument(
        '--image', metavar='FILE', help='draw the predictions for this one (default: the first validation image)'
    )
    image.add_argument('--no-image', action='store_true', help='show no image in the card')
    return parser


@plainly
def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    if (args.name is None) == (args.to is None):
        raise InputError('give either NAME, for a file of weights, or --to WHERE, for a whole model')
    return weights(args) if args.to is None else model(args)


def weights(args: argparse.Namespace) -> int:
    """Write a file of weights."""
    from mmseq.checkpoints.digest import file_sha256
    from mmseq.weights.publish import publish

    path, remarks = publish(args.source, args.name, args.ema)
    for remark in remarks:
        print(f'note       {remark}')
    print(f'written    {path}, sha256 {file_sha256(path)}')
    return 0


def model(args: argparse.Namespace) -> int:
    """Write a model's folder, and upload it if a repository is named."""
    from mmseq.share.folder import Wanted, write_model
    from mmseq.share.hub import repository, upload

    repo = repository(args.to) if '://' in args.to else None
    title = repo or Path(args.to).name
    wanted = Wanted(title, args.licence, args.ema, args.image, not args.no_image)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, 'model') if repo else Path(args.to)
        for remark in write_model(args.source, folder, wanted):
            print(f'note       {remark}')
        if args.licence is None:
            print('note       the licence is unspecified; --licence names one')
        for path in sorted(folder.iterdir()):
            print(f'           {path.name}, {path.stat().st_size} bytes')
        print(f'written    {upload(folder, repo, args.private) if repo else folder}')
    print(f'           mmseq infer {args.to} pictures/ predicts with it')
    return 0
