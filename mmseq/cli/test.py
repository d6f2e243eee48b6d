"""Evaluate a checkpoint."""

import argparse

from mmseq.cli import add_config_arguments, add_process_arguments, launch_processes


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='test.py',
        description='Evaluate a checkpoint on the test data of a config: prints metrics, writes metrics.json and '
        'per_class.csv into the work dir.',
        epilog='example: python tools/test.py configs/upernet_seq2d_nano_shapes.py '
        'work_dirs/upernet_seq2d_nano_shapes/iter_600.pth --show-dir work_dirs/pictures',
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file of a training run with this config')
    parser.add_argument('--out', metavar='DIR', help='write the predictions: COCO json files, or label maps as PNG')
    parser.add_argument('--show-dir', metavar='DIR', help='write pictures of truth and prediction')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation by scales and flips (boxes only for detectors: upstream merges no masks)',
    )
    parser.add_argument('--compile', action='store_true', help='compile the backbone, once per shape of the images')
    add_process_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for what the user can mend."""
    args = build_parser().parse_args(argv)
    if (status := launch_processes('test', args, argv)) is not None:
        return status
    from mmseq.engine.launch import evaluate
    from mmseq.engine.processes import leave_group

    evaluate(
        args.config,
        args.checkpoint,
        options=args.cfg_options,
        work_dir=args.work_dir,
        seed=args.seed,
        launcher=args.launcher,
        out=args.out,
        show_dir=args.show_dir,
        tta=args.tta,
        compile_backbone=args.compile,
    )
    leave_group()
    return 0
