"""Average checkpoints of one model."""

import argparse
from pathlib import Path

from mmseq.cli import command_parser


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'average',
        'Average the weights of several checkpoints of one model (a model soup). All of them must have the same '
        'tensors, with the same shapes and data types.',
        'mmseq average work_dirs/x/epoch_10.pth work_dirs/x/epoch_11.pth --out soup.pth',
    )
    parser.add_argument('sources', nargs='+', metavar='SRC', help='checkpoints: files or addresses')
    parser.add_argument('--out', required=True, type=Path, metavar='DST', help='output: .safetensors or .pth')
    parser.add_argument('--ema', action='store_true', help='average the EMA weights of the checkpoints')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    from mmseq.checkpoints.digest import file_sha256
    from mmseq.checkpoints.fetch import locate
    from mmseq.weights.average import average
    from mmseq.weights.weights_file import check_target, origin, save_weights

    check_target(args.out, tuple(args.sources))
    mean, remarks = average(args.sources, args.ema)
    paths = [locate(source) for source in args.sources]
    digests = {path: file_sha256(path) for path in paths}
    for path in paths:
        print(f'source     {path}, sha256 {digests[path]}')
    for remark in remarks:
        print(f'note       {remark}')
    facts = origin(
        source='mean of ' + ', '.join(path.name for path in paths), source_sha256=', '.join(digests[p] for p in paths)
    )
    digest = save_weights(mean, args.out, facts)
    print(f'written    {args.out}, mean of {len(paths)}, {len(mean)} tensors, sha256 {digest}')
    return 0
