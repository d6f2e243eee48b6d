"""Evaluate a checkpoint."""

import argparse

from mmseq.cli import (
    add_checkpoint_argument,
    add_config_arguments,
    add_data_arguments,
    add_process_arguments,
    add_tile_arguments,
    add_verbose_argument,
    check_tiles,
    command_parser,
    launch_processes,
    tiles_of,
    trained_model,
)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'test',
        'Evaluate a checkpoint on the test data of a config. Prints the metrics, and writes metrics.json and '
        'per_class.csv into the work dir.',
        'mmseq test work_dirs/upernet_seq2d_nano_shapes --show-dir work_dirs/pictures',
        'mmseq test mmseq::upernet_seq2d_nano_shapes iter_1200.pth',
        'mmseq test work_dirs/mask_rcnn_seq2d_s_coco --tiles 1024',
    )
    add_config_arguments(parser)
    add_checkpoint_argument(parser)
    parser.add_argument('--out', metavar='DIR', help='write the predictions: COCO JSON files, or label maps as PNG')
    parser.add_argument('--show-dir', metavar='DIR', help='write pictures of truth and prediction')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation by scales and flips (detectors: boxes only, mmdetection merges no masks)',
    )
    parser.add_argument('--compile', action='store_true', help='compile the backbone, once per image shape')
    add_tile_arguments(parser)
    add_data_arguments(parser)
    add_verbose_argument(parser)
    add_process_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    check_tiles(args)
    if (status := launch_processes('test', args, argv)) is not None:
        return status
    from mmseq.engine.launch import evaluate
    from mmseq.engine.processes import leave_group

    named = trained_model(args)
    evaluate(
        named.config,
        named.trained,
        data=args.data,
        image_size=args.image_size,
        options=args.cfg_options,
        work_dir=args.work_dir,
        seed=args.seed,
        launcher=args.launcher,
        out=args.out,
        show_dir=args.show_dir,
        tta=args.tta,
        compile_backbone=args.compile,
        tiles=tiles_of(args, 1),
        verbose=args.verbose,
    )
    leave_group()
    return 0
