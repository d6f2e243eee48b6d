"""Predictions for images, folders, videos and cameras."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseq.cli import (
    add_checkpoint_argument,
    add_data_arguments,
    add_device_argument,
    add_model_arguments,
    add_tile_arguments,
    check_tiles,
    command_parser,
    own_data,
    plainly,
    positive,
    share,
    tiles_of,
)
from mmseq.errors import InputError
from mmseq.explain import explaining
from mmseq.explain.work import inference

if TYPE_CHECKING:
    from mmseq.model.named import Named
    from mmseq.predict.prediction_files import PredictionFolder
    from mmseq.predict.predictor import Predictor

# The same as in mmseq.runtimes.
RUNTIMES = ('onnxruntime', 'openvino')
# With more images than these, results are not printed image by image.
FEW = 8


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'infer',
        'Run a detector or segmentor on images and videos. Writes overlays, label maps (segmentors), detections.json '
        '(detectors; COCO annotations with masks as RLE), panoptic maps (panoptic models) and summary.json. Files '
        'that cannot be read or predicted are reported, the others are processed, and the exit status is then 1. A '
        'start that was stopped, or had failures, is continued by the same command.',
        'mmseq infer work_dirs/upernet_seq2d_s_ade20k photos/ clip.mp4',
        'mmseq infer work_dirs/mask_rcnn_seq2d_s_coco aerial.tif --tiles 1024 --overlap 0.2',
        'mmseq infer mmseq::upernet_seq2d_s_ade20k iter_160000.pth photos/',
        'mmseq infer work_dirs/mask_rcnn_seq2d_s_coco/model.onnx photos/ --runtime openvino',
    )
    add_model_arguments(parser)
    add_checkpoint_argument(parser)
    parser.add_argument(
        'inputs',
        nargs='*',
        metavar='input',
        help="images, videos, folders with their subfolders, patterns such as 'photos/*.jpg', or a camera's number",
    )
    parser.add_argument('--out', metavar='DIR', help='output folder (default: predictions in the work dir)')
    parser.add_argument(
        '--score-thr', type=share, default=0.3, metavar='S', help='drop instances with lower scores (default: 0.3)'
    )
    parser.add_argument(
        '--batch', type=positive, default=1, metavar='N', help='images, or tiles of one, at a time (default: 1)'
    )
    parser.add_argument(
        '--workers',
        type=positive,
        metavar='N',
        help='threads that read, draw and write images while the model computes (default: the processors, up to 4)',
    )
    add_device_argument(parser)
    parser.add_argument(
        '--runtime',
        choices=RUNTIMES,
        help='what runs a file of mmseq export-onnx given in place of the config (default: onnxruntime)',
    )
    parser.add_argument(
        '--anew', action='store_true', help='predict again what an earlier start with these options has finished'
    )
    parser.add_argument(
        '--full-size', action='store_true', help="do not resize images as the config's test pipeline does"
    )
    add_tile_arguments(parser)
    add_output_arguments(parser)
    add_data_arguments(parser)
    return parser


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """The options on outputs and on videos."""
    group = parser.add_argument_group('outputs')
    group.add_argument(
        '--no-overlays', action='store_true', help='do not write images and videos with predictions drawn'
    )
    group.add_argument('--no-maps', action='store_true', help='do not write label maps and panoptic maps')
    group.add_argument(
        '--opacity', type=share, default=0.5, metavar='O', help='opacity of masks in overlays (default: 0.5)'
    )
    group = parser.add_argument_group('videos and cameras')
    group.add_argument('--every', type=positive, default=1, metavar='N', help='take every N-th frame (default: 1)')
    group.add_argument(
        '--max-frames', type=positive, metavar='N', help='stop after N frames (default: all; Ctrl-C stops a camera)'
    )


@plainly
def main(argv: list[str] | None = None) -> int:
    """Returns 1 if something could not be read or predicted, else 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    check_tiles(args)
    # Before the slow imports, so that a wrong path is reported at once.
    from mmseq.datasets.sources import find

    named, inputs = words(args)
    sources = find(inputs)
    from mmseq.large.limit import max_per_img
    from mmseq.predict.prediction_files import PICTURE_FOLDERS
    from mmseq.predict.predictor import Predictor

    model, work_dir, about = open_exported(args) if named is None else load(args, named)
    with explaining(inference(model.cfg)):
        predictor = Predictor(model, full_size=args.full_size, tiles=tiles_of(args, args.batch))
        out = Path(args.out or work_dir / 'predictions')
        if out.is_dir():
            # What an earlier call has written below its input is no input of this one.
            found, sources = sources, find(inputs, [out / name for name in PICTURE_FOLDERS])
            if len(sources) < len(found):
                print(f'{len(found) - len(sources)} files are left out: they are results in {out}')
        about |= dict(score_thr=args.score_thr, full_size=args.full_size, tiles=args.tiles, overlap=args.overlap)
        folder = open_folder(args, out, predictor, about)
        summary = predict(args, predictor, sources, folder, about)
        report(summary, out, max_per_img(model.cfg))
        return int(bool(summary['failed']))


def open_folder(
    args: argparse.Namespace, out: Path, predictor: 'Predictor', about: dict[str, Any]
) -> 'PredictionFolder':
    """The folder of the results, with those of an earlier start with the same model and options."""
    from mmseq.predict.journal import identity_of
    from mmseq.predict.prediction_files import PredictionFolder

    written = dict(overlays=not args.no_overlays, maps=not args.no_maps, opacity=args.opacity)
    folder = PredictionFolder(out, predictor.classes, predictor.palette, **written)
    options = dict(about, **written, every=args.every, max_frames=args.max_frames)
    models = [about.get(key) for key in ('config', 'checkpoint', 'model')]
    if done := folder.go_on(identity_of(options, models), args.anew):
        print(f'{done} inputs are finished by an earlier start ({out}); --anew predicts them again')
    return folder


def predict(
    args: argparse.Namespace,
    predictor: 'Predictor',
    sources: Sequence[Any],
    folder: 'PredictionFolder',
    about: dict[str, Any],
) -> dict[str, Any]:
    """Predict what is not finished, with a bar; returns the summary."""
    from tqdm import tqdm

    from mmseq.predict.folder import expected, infer, unfinished
    from mmseq.predict.workers import WORKERS

    left = unfinished(sources, folder)
    total = expected(left, args.every, args.max_frames)
    few, complete = total is not None and total <= FEW, False
    try:
        with tqdm(total=total, unit='picture', disable=None) as bar:

            def seen(row: dict[str, Any] | None) -> None:
                bar.update()
                if row and few:
                    tqdm.write(describe(row))

            work = dict(batch=args.batch, score=args.score_thr, workers=args.workers or WORKERS)
            infer(predictor, left, folder, every=args.every, limit=args.max_frames, seen=seen, **work)
            complete = True
    finally:
        summary = folder.close(dict(about, model_seconds=predictor.seconds), complete)
    return summary


def load(args: argparse.Namespace, named: 'Named') -> tuple[Any, Path, dict[str, Any]]:
    """A model of torch, its work dir, and what the summary says of it."""
    from mmseq.model.trained import load_trained

    options, change = dict(args.cfg_options), own_data(args)
    cfg, model = load_trained(
        named.config, named.trained, options=options, work_dir=args.work_dir, device=args.device, change=change
    )
    about = dict(config=named.config, checkpoint=named.trained, cfg_options=options)
    return model, Path(cfg.work_dir), about


def open_exported(args: argparse.Namespace) -> tuple[Any, Path, dict[str, Any]]:
    """A file of ``mmseq export-onnx`` in the place of a model; see :func:`load`."""
    from mmseq.predict.exported import ExportedModel
    from mmseq.runtimes import OnnxFile

    runtime = args.runtime or RUNTIMES[0]
    model = ExportedModel(OnnxFile(args.config, runtime))
    return model, Path(args.work_dir or Path(args.config).parent), dict(model=args.config, runtime=runtime)


def refuse_for_files(args: argparse.Namespace) -> None:
    """Raises InputError for an option that asks for a model of torch."""
    given = {
        '--cfg-options': args.cfg_options,
        '--data': args.data,
        '--image-size': args.image_size,
        f'--device {args.device}': args.device not in (None, 'cpu'),
    }
    for option in (option for option, value in given.items() if value):
        raise InputError(f'{option}: {args.config} is a model as it was exported, for the CPU; leave it out')


def words(args: argparse.Namespace) -> tuple['Named | None', list[str]]:
    """The model and the inputs, among words of which one or two name the model; None of an exported model.

    Raises:
        InputError: there is no such model, or no input, or an option that is not for this kind of model.
    """
    from mmseq.model.named import find_model

    given = [args.config, *([] if args.checkpoint is None else [args.checkpoint]), *args.inputs]
    if args.config.endswith('.onnx'):
        refuse_for_files(args)
        named, inputs = None, given[1:]
    elif args.runtime:
        raise InputError(f'--runtime {args.runtime} runs what mmseq export-onnx wrote, and {args.config} is no .onnx')
    else:
        named, inputs = find_model(given)
    if not inputs and (named is None or named.trained):
        raise InputError(f'no input after {" ".join(given)}: name images, videos, folders or a camera')
    return named, inputs


def describe(row: dict[str, Any]) -> str:
    """One line on an image: its classes with counts or shares, the largest first."""
    found = [
        f'{one["count"]} {one["name"]} (up to {one["score"]:.2f})'
        if 'count' in one
        else f'{one["name"]} {100 * one["share"]:.1f} %'
        for one in row['classes']
    ]
    listed = ', '.join(found[:FEW]) + (' ...' if len(found) > FEW else '')
    frame = f' frame {row["frame"]}' if 'frame' in row else ''
    return f'{row["file_name"]}{frame}: {listed or "nothing"}'


def report(summary: dict[str, Any], out: Path, limit: tuple[str, int] | None) -> None:
    """Print the files that failed, the number of images, where the results are, and a limit that was reached."""
    for failure in summary['failures']:
        print(f'failed: {failure["reason"]}', file=sys.stderr)
    number, seconds = summary['pictures'], summary['seconds']
    failed = f', {summary["failed"]} failed' if summary['failed'] else ''
    share_of_model = f', {summary["model_seconds"] / seconds:.0%} of it in the model' if number else ''
    pictures = f'{number} picture{"s" * (number != 1)}'
    print(f'{pictures} in {seconds:.1f} s ({number / seconds:.2f} per second){share_of_model}{failed}')
    full = sum('limit_reached' in row for row in summary['predictions'])
    if full and limit:
        print(
            f'{full} of them may have more objects: the model gives no more than {limit[0]}={limit[1]} of an image or '
            f'tile; raise it with --cfg-options {limit[0]}={2 * limit[1]}'
        )
    for path in sorted(out.iterdir()):
        if not path.name.startswith('.'):
            print(f'    {path}{"/" * path.is_dir()}')
