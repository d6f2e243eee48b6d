"""Train a detector or a segmentor."""

import argparse

from mmseq.cli import add_config_arguments, add_process_arguments, launch_processes, run


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='train.py',
        description='Train the model of a config and evaluate it; the config says whether it detects or segments.',
        epilog='example: python tools/train.py configs/upernet_seq2d_nano_shapes.py --work-dir work_dirs/try',
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint, or from the newest whole one of the work dir if none is named',
    )
    parser.add_argument(
        '--load-from',
        metavar='CHECKPOINT',
        help='begin with the weights of a whole model; the backbone then loads no weights of its own',
    )
    parser.add_argument(
        '--allow-partial',
        nargs='+',
        default=[],
        metavar='PATTERN',
        help="with --load-from: tensors that may differ, for example 'roi_head.*' for another number of classes; what "
        'does not fit starts anew and is listed',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='bfloat16',
        choices=['bfloat16', 'float16'],
        help='mixed precision; bfloat16 unless float16 (with loss scaling, GPU only) is asked for',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by the effective batch over the recipe's (auto_scale_lr.base_batch_size)",
    )
    parser.add_argument(
        '--ema',
        nargs='?',
        const=0.0002,
        type=float,
        metavar='MOMENTUM',
        help='average the weights over the iterations (momentum 0.0002), evaluate and save the average',
    )
    parser.add_argument('--compile', action='store_true', help='compile the backbone, once per shape of the images')
    parser.add_argument('--channels-last', action='store_true', help='4-D weights and maps with channels innermost')
    parser.add_argument(
        '--shard',
        choices=['zero', 'fsdp'],
        help="divide the optimiser's state (zero), or weights and gradients too (fsdp), among the processes",
    )
    parser.add_argument('--no-data-check', action='store_true', help='skip the check of the data before training')
    parser.add_argument(
        '--deterministic',
        action='store_true',
        help='the same weights, bit by bit, from the same seed, data and number of processes; slower; their SHA-256 is '
        'logged at the end',
    )
    parser.add_argument(
        '--log-to',
        nargs='+',
        default=[],
        choices=['tensorboard', 'wandb'],
        help='log to TensorBoard, Weights & Biases or both; wandb without a login writes files for wandb sync',
    )
    parser.add_argument(
        '--log-images',
        type=int,
        metavar='N',
        help='draw N validation images at each evaluation, the same each time, truth beside prediction, for the '
        'loggers and as files in vis_data/vis_image (default: 8 with --log-to, else none)',
    )
    add_process_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for what the user can mend."""
    args = build_parser().parse_args(argv)
    if (status := launch_processes('train', args, argv)) is not None:
        return status
    from mmseq.engine.launch import train
    from mmseq.engine.processes import leave_group

    train(
        args.config,
        options=args.cfg_options,
        work_dir=args.work_dir,
        seed=args.seed,
        launcher=args.launcher,
        resume=args.resume,
        load_from=args.load_from,
        allow_partial=args.allow_partial,
        amp=args.amp,
        auto_scale_lr=args.auto_scale_lr,
        ema=args.ema,
        compile_backbone=args.compile,
        channels_last=args.channels_last,
        shard=args.shard,
        check_data=not args.no_data_check,
        deterministic=args.deterministic,
        loggers=args.log_to,
        log_images=args.log_images,
    )
    leave_group()
    return 0


if __name__ == '__main__':
    run(main)
