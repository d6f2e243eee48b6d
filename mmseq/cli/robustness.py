"""How robust a trained model is."""

import argparse

from mmseq.cli import (
    add_checkpoint_argument,
    add_config_arguments,
    add_data_arguments,
    add_process_arguments,
    command_parser,
    launch_processes,
    positive,
    trained_model,
)
from mmseq.engine.robustness import PARTS


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'robustness',
        'Measure how robust a trained detector or segmentor is: 15 corruptions in 5 severities, outlines, sizes of '
        'images, consistency under flips, turns and shifts, figures by place in the image, and calibration. Writes '
        'robustness.json, robustness.csv and plots into the folder robustness of the work dir; mmseq report shows '
        'them. The same command again goes on after the last finished evaluation.',
        'mmseq robustness work_dirs/upernet_seq2d_nano_shapes --quick',
        'mmseq robustness work_dirs/mask_rcnn_seq2d_nano_shapes --only corruptions --gpus 2',
    )
    add_config_arguments(parser)
    add_checkpoint_argument(parser)
    parser.add_argument(
        '--only', nargs='+', choices=PARTS, default=PARTS, metavar='NAME', help=f'parts to measure: {", ".join(PARTS)}'
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='4 corruptions of severity 3, 3 sizes and 3 views on the first 50 images, in a folder of its own',
    )
    parser.add_argument('--images', type=positive, metavar='N', help='evaluate the first N images (default: all)')
    add_data_arguments(parser)
    add_process_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    named = trained_model(args)
    trained = named.trained
    if status := launch_processes('robustness', args, argv):
        return status
    from mmseq.engine.robustness.measure import Measured, folder_for, measure
    from mmseq.engine.robustness.steps import Asked
    from mmseq.runs.robustness import write_robustness

    out = folder_for(named.config, args.work_dir, args.data, args.quick)
    if args.processes is None or args.launcher != 'none':
        asked = Asked(tuple(dict.fromkeys(args.only)), args.quick, args.seed or 0, args.images)
        measured = Measured(named.config, trained, out, asked, args.data, args.image_size, args.cfg_options, args.seed)
        measure(measured, print)
    if args.launcher == 'none':
        found = write_robustness(out)
        for line in found.lines():
            print(line)
        print(f'written: {out}')
    return 0
