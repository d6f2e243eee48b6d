"""Convert weights between the layouts of their publishers and that of mmseq."""

import argparse
from pathlib import Path

from mmseq.cli import command_parser, positive


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'convert',
        'Convert the weights of a backbone from any known layout to any other. Family, arch, layout, wrappers and '
        'prefixes are detected and reported; of a detector or segmentor the backbone is taken. If a tensor of the '
        'source or the target is left over, nothing is written.',
        'mmseq convert sequencer2d_s.pth sequencer2d_s.safetensors --verify',
        'mmseq convert work_dirs/x/epoch_12.pth backbone.pth --to timm',
    )
    parser.add_argument('source', metavar='SRC', help='checkpoint: a file or an address')
    parser.add_argument('target', metavar='DST', type=Path, help='output: .safetensors or .pth')
    parser.add_argument('--to', default='mmseq', help='layout: mmseq (default), timm, authors, or hub (Vision-LSTM)')
    parser.add_argument(
        '--arch', help='arch of the backbone, needed where several fit; custom: any sizes, mmseq layout only'
    )
    parser.add_argument('--ema', action='store_true', help='convert the EMA weights')
    parser.add_argument('--keep-head', action='store_true', help='keep the classifier')
    parser.add_argument('--in-channels', type=positive, metavar='N', help='image channels of DST (default: as SRC)')
    parser.add_argument(
        '--patch-size', type=positive, metavar='P', help="size of DST's stem kernel in pixels (default: as SRC)"
    )
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
    """Returns the exit status; raises InputError for bad input."""
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
