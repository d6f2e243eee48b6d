"""Backbones compared under one head, schedule and data."""

import argparse
import os
from pathlib import Path

from mmseq.cli import add_data_arguments, add_device_argument, add_processes_of_each, command_parser, positive
from mmseq.cli.seeds import OWN_OPTIONS, Parser, data_options


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'compare-backbones',
        'Train several backbones under the same head, schedule and data, each with several seeds, and put parameters, '
        'multiply-adds, time, memory and metrics with their spread into one table. Without --data they train on the '
        'generated shapes. The same command again continues where it ended: finished trainings are kept. Writes '
        'compare_backbones.json, .csv, .md and .png into the work dir. The exit status is 1 if a training failed.',
        'mmseq compare-backbones --backbones seq2d_nano,swin_nano,resnet_nano --head upernet',
        'mmseq compare-backbones --backbones sequencer2d_s,swin_t --head mask_rcnn --data card.yaml -- --amp',
        parser_class=Parser,
    )
    parser.usage = '%(prog)s [-h] --backbones NAME,NAME,... [--head HEAD] [--data CARD] [...] [-- options of train]'
    parser.add_argument(
        '--backbones',
        required=True,
        metavar='NAME,NAME',
        help='cards (swin_t, or the path of one of your own), archs of ours (sequencer2d_s) or names of timm, with '
        'commas between; a card comes before a name of timm',
    )
    parser.add_argument(
        '--head', choices=['upernet', 'mask_rcnn'], default='upernet', help='over each backbone (default: upernet)'
    )
    parser.add_argument(
        '--config',
        help="a config with this head, whose backbone is replaced (default: Swin-T's with --data and a GPU, else that "
        'of the generated shapes)',
    )
    parser.add_argument(
        '--from-scratch',
        action='store_true',
        help='begin with random weights (default: those of the card, or published ones, where there are any)',
    )
    add_data_arguments(parser, epochs=True)
    parser.add_argument('--seeds', type=positive, default=3, metavar='N', help='seeds of each backbone (default: 3)')
    add_processes_of_each(parser)
    add_device_argument(parser)
    parser.add_argument('--work-dir', metavar='DIR', help='output folder (default: work_dirs/compare_backbones_<head>)')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 1 if a training failed, else 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    from mmseq.errors import InputError

    own = OWN_OPTIONS & {option.partition('=')[0] for option in args.options}
    if own:
        raise InputError(f'{", ".join(sorted(own))} after --: is set for each run; leave it out there')
    import torch

    from mmseq.runs.comparison import align
    from mmseq.side_by_side.candidates import find_candidates
    from mmseq.side_by_side.comparing import Comparison
    from mmseq.side_by_side.recipe import default_config
    from mmseq.side_by_side.table import NAME, readable

    candidates = find_candidates([name for name in args.backbones.split(',') if name], args.from_scratch)
    folder = Path(args.work_dir or Path('work_dirs') / f'compare_backbones_{args.head}')
    if args.data is None and args.config is None:
        make_shapes(folder / 'data')
    comparison = Comparison(
        head=args.head,
        config=args.config or default_config(args.head, args.data is not None),
        folder=folder,
        seeds=range(args.seeds),
        processes=args.processes,
        options=[*data_options(args), *args.options],
        device=args.device or ('cuda' if torch.cuda.is_available() else 'cpu'),
        said=lambda text: print(text, flush=True),
    )
    rows = comparison.run(candidates)
    print(align(*readable(rows)))
    print(f'written: {folder}/{NAME}.json, .csv, .md, .png')
    failed = [row for row in rows if 'failed' in row]
    for row in failed:
        print(f'FAILED: {row["backbone"]}: {row["failed"]}')
    return int(bool(failed))


def make_shapes(folder: Path) -> None:
    """The generated data, where the configs of this process's trainings look for them."""
    from mmseq.datasets.shapes import generate

    generate(folder / 'shapes')
    os.environ['MMSEQ_DATA'] = str(folder.resolve())
