"""Convert weights between the layouts of their publishers and ours."""

import argparse
from pathlib import Path

from mmseq.cli import positive


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='convert_checkpoint.py',
        description='Convert the weights of a backbone, from any known layout to any other. Family, arch, layout, '
        'wrappers and prefixes are found and said; of a whole detector or segmentor the backbone is taken. Every '
        'tensor is accounted for, or nothing is written.',
        epilog='examples: python tools/convert_checkpoint.py sequencer2d_s.pth sequencer2d_s.safetensors --verify; '
        'python tools/convert_checkpoint.py work_dirs/x/epoch_12.pth backbone.pth --to timm',
    )
    parser.add_argument('source', metavar='SRC', help='checkpoint: a file or an address')
    parser.add_argument('target', metavar='DST', type=Path, help='output: .safetensors, or .pth with meta beside it')
    parser.add_argument('--to', default='mmseq', help='layout: mmseq (default), timm, authors, or hub (Vision-LSTM)')
    parser.add_argument(
        '--arch', help='name in the arch table, where several fit; custom takes our own layout without comparing'
    )
    parser.add_argument('--ema', action='store_true', help='take the moving average of the weights')
    parser.add_argument('--keep-head', action='store_true', help='keep the classifier, so that all of SRC comes back')
    parser.add_argument('--in-channels', type=positive, metavar='N', help='image channels that DST is for')
    parser.add_argument('--patch-size', type=positive, metavar='P', help="pixels per side of DST's stem kernel")
    parser.add_argument(
        '--grid', type=positive, nargs=2, metavar=('H', 'W'), help="cells of DST's position embedding (default: as SRC)"
    )
    parser.add_argument(
        '--verify',
        action='store_true',
        help='convert DST back and compare bit for bit; Sequencer2D s, m and l also against the features of timm',
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for what the user can mend."""
    args = build_parser().parse_args(argv)
    # Imported late, so that --help does not wait for them.
    from mmseq.weights.convert import convert_file
    from mmseq.weights.fit import Geometry

    lines = convert_file(
        args.source,
        args.target,
        to=args.to,
        arch=args.arch,
        ema=args.ema,
        keep_head=args.keep_head,
        geometry=Geometry(args.in_channels, args.patch_size, tuple(args.grid) if args.grid else None),
        check=args.verify,
    )
    print('\n'.join(lines))
    return 0
