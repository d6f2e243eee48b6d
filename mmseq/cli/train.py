"""Train a detector or a segmentor."""

import argparse

from mmseq.cli import (
    add_config_arguments,
    add_data_arguments,
    add_process_arguments,
    add_verbose_argument,
    command_parser,
    launch_processes,
    run,
)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'train',
        'Train the detector or segmentor of a config and evaluate it; with --data CARD on data of your own, with a '
        'config for their labels if none is named.',
        'mmseq train mmseq::upernet_seq2d_nano_shapes --work-dir work_dirs/first',
        'mmseq train --data data/mine/card.yaml',
    )
    add_config_arguments(parser, optional=True)
    add_data_arguments(parser, epochs=True)
    add_start_arguments(parser)
    add_speed_arguments(parser)
    add_recipe_arguments(parser)
    add_log_arguments(parser)
    add_process_arguments(parser)
    return parser


def add_start_arguments(parser: argparse.ArgumentParser) -> None:
    """Where a training begins."""
    group = parser.add_argument_group('start and resume')
    group.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from this checkpoint, or, without a name, from the last iteration that the run of the work dir '
        'has saved; refused where there is none (--cfg-options resume=True resumes or begins)',
    )
    group.add_argument(
        '--anew',
        action='store_true',
        help='begin in a work dir that holds a run already, which is moved aside to NAME_earlier_1',
    )
    group.add_argument(
        '--load-from',
        metavar='CHECKPOINT',
        help='start from the weights of a whole model; the backbone then loads no pretrained weights',
    )
    group.add_argument(
        '--allow-partial',
        nargs='+',
        default=[],
        metavar='PATTERN',
        help="with --load-from: tensors that may differ, such as 'roi_head.*' for another number of classes; those "
        'that do not fit are initialised and listed',
    )
    group.add_argument('--no-data-check', action='store_true', help='skip the check of the data before training')


def add_speed_arguments(parser: argparse.ArgumentParser) -> None:
    """What makes a training faster or smaller."""
    group = parser.add_argument_group('precision and speed')
    group.add_argument(
        '--amp',
        nargs='?',
        const='bfloat16',
        choices=['bfloat16', 'float16', 'force'],
        help='mixed precision in bfloat16 (default) or float16 (with loss scaling, GPU only); a device without '
        'instructions for bfloat16 would be slower in it and trains in float32, unless this is force',
    )
    group.add_argument('--compile', action='store_true', help='compile the backbone, once per image shape')
    group.add_argument('--channels-last', action='store_true', help='channels-last memory format')
    group.add_argument(
        '--shard',
        choices=['zero', 'fsdp'],
        help='shard the optimizer state (zero), or weights and gradients too (fsdp), over the processes',
    )


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """What changes the weights that come out."""
    group = parser.add_argument_group('recipe')
    group.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by the total batch size over the recipe's (auto_scale_lr.base_batch_size)",
    )
    group.add_argument(
        '--ema',
        nargs='?',
        const=0.0002,
        type=float,
        metavar='MOMENTUM',
        help='keep an exponential moving average of the weights, and evaluate and save it (default momentum: 0.0002)',
    )
    group.add_argument(
        '--deterministic',
        action='store_true',
        help='same seed, data and number of processes give the same weights bit by bit; slower. The SHA-256 of the '
        'weights is logged at the end',
    )


def add_log_arguments(parser: argparse.ArgumentParser) -> None:
    """What a training tells."""
    group = parser.add_argument_group('log')
    group.add_argument(
        '--log-to',
        nargs='+',
        default=[],
        choices=['tensorboard', 'wandb'],
        help='log to TensorBoard, Weights & Biases or both; wandb without a login writes files for wandb sync',
    )
    group.add_argument(
        '--log-images',
        type=int,
        metavar='N',
        help='log N validation images at each evaluation, always the same, with truth beside prediction; they are also '
        'written to vis_data/vis_image (default: 8 with --log-to, else none)',
    )
    add_verbose_argument(group)


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    if (status := launch_processes('train', args, argv)) is not None:
        return status
    from mmseq.engine.launch import train
    from mmseq.engine.processes import leave_group

    train(
        args.config,
        data=args.data,
        epochs=args.epochs,
        image_size=args.image_size,
        options=args.cfg_options,
        work_dir=args.work_dir,
        seed=args.seed,
        launcher=args.launcher,
        resume=args.resume,
        anew=args.anew,
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
        verbose=args.verbose,
    )
    leave_group()
    return 0


if __name__ == '__main__':
    run(main)
