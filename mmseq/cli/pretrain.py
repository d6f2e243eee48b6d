"""Pretrain a backbone as a classifier."""

import argparse

from mmseq.cli import (
    add_options,
    add_process_arguments,
    add_verbose_argument,
    command_parser,
    launch_processes,
    positive,
)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'pretrain',
        'Train a backbone as a classifier of images and write its weights, backbone.safetensors, for any detector or '
        'segmentor to begin with. DATA has the folders train/CLASS and val/CLASS (Tiny ImageNet and ImageNet as they '
        'come, too) or CLASS, or is a list of lines PATH CLASS. Images of up to 96 px are packed first: decoded once, '
        'into work_dirs/packed. Prints top-1, top-5 and images a second.',
        'mmseq pretrain sequencer2d_nano --data tiny-imagenet-200',
        'mmseq pretrain timm://resnet18 --data photos/ --epochs 100 --image-size 128 --amp',
    )
    parser.add_argument(
        'backbone',
        help='family and arch, as sequencer2d_nano, shiftvit_nano, vision_lstm_nano or vsequencer_nano; timm://NAME '
        "for a model of timm; or a classifier's config, whose recipe is kept",
    )
    parser.add_argument('--data', required=True, metavar='DATA', help='folder or list of images, or packed images')
    parser.add_argument(
        '--epochs', type=positive, metavar='N', help='length (default: three million images, 30 to 300 epochs)'
    )
    parser.add_argument(
        '--image-size', type=positive, metavar='PX', help='side of the images (default: their own, at most 224)'
    )
    parser.add_argument(
        '--batch',
        type=positive,
        metavar='N',
        help='images of an iteration in each process (default: 256 in all up to 96 px, else 64)',
    )
    parser.add_argument('--lr', type=float, metavar='RATE', help='highest learning rate (default: 2e-3 for 256 images)')
    parser.add_argument(
        '--pack',
        metavar='DIR',
        help="folder of the packed images, made if need be; '' packs none (default: packed up to 96 px)",
    )
    parser.add_argument('--weights', metavar='FILE', help='weights or an address that the backbone begins with')
    parser.add_argument('--work-dir', metavar='DIR', help='output folder (default: work_dirs/pretrain_BACKBONE_DATA)')
    add_options(parser, 'train_dataloader.dataset.jitter=0.4 model.backbone.drop_path_rate=0.1')
    parser.add_argument('--seed', type=int, help='seed of all random numbers (default: 0)')
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='as of mmseq train (default: none)'
    )
    parser.add_argument(
        '--resume', nargs='?', const='auto', metavar='CHECKPOINT', help='go on with the run of the work dir'
    )
    parser.add_argument('--anew', action='store_true', help='move an earlier run of the work dir aside, and begin')
    parser.add_argument(
        '--amp', nargs='?', const='bfloat16', choices=['bfloat16', 'float16', 'force'], help='mixed precision'
    )
    parser.add_argument(
        '--ema', nargs='?', const=0.0002, type=float, metavar='MOMENTUM', help='evaluate and keep an average of weights'
    )
    parser.add_argument('--compile', action='store_true', help='compile the backbone')
    parser.add_argument('--channels-last', action='store_true', help='channels-last memory format')
    parser.add_argument('--deterministic', action='store_true', help='equal runs give equal weights, bit by bit')
    parser.add_argument('--log-to', nargs='+', default=[], choices=['tensorboard', 'wandb'], help='log there too')
    add_verbose_argument(parser)
    add_process_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    from mmseq.classify.settings import Pretraining

    asked = Pretraining(
        args.backbone, args.data, args.epochs, args.image_size, args.batch, args.lr, args.pack, args.weights
    )
    if args.processes is not None and args.launcher == 'none':
        # Before there are several processes, of which all but one would wait.
        asked.config(None)
        asked.prepare()
    if (status := launch_processes('pretrain', args, argv)) is not None:
        return status
    from mmseq.classify.pretrain import pretrain
    from mmseq.engine.processes import leave_group

    outcome = pretrain(
        asked,
        options=args.cfg_options,
        work_dir=args.work_dir,
        seed=args.seed,
        launcher=args.launcher,
        resume=args.resume,
        anew=args.anew,
        amp=args.amp,
        ema=args.ema,
        compile_backbone=args.compile,
        channels_last=args.channels_last,
        deterministic=args.deterministic,
        loggers=args.log_to,
        verbose=args.verbose,
    )
    leave_group()
    if outcome is not None:
        scores = ', '.join(f'{name} {value:.2f} %' for name, value in outcome.scores.items())
        print(f'\n{scores}; {outcome.hours:.2f} hours of training, {outcome.speed:.0f} images/s')
        print(f'written: {outcome.backbone}, {outcome.classifier}')
        print(
            'next: mmseq train CONFIG --data CARD --cfg-options model.backbone.init_cfg.type=Pretrained '
            f'model.backbone.init_cfg.checkpoint={outcome.backbone}'
        )
    return 0
