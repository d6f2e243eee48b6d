"""A trained model as a file that runs without this package."""

import argparse
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING

from mmseq.cli import (
    add_checkpoint_argument,
    add_data_arguments,
    add_model_arguments,
    command_parser,
    own_data,
    plainly,
    trained_model,
)
from mmseq.errors import InputError
from mmseq.explain import explaining
from mmseq.explain.work import inference

if TYPE_CHECKING:
    import numpy as np

    from mmseq.export.publish import Report

# The same as in mmseq.export, which is slow to import.
PARTS = ('backbone', 'features', 'model')
FORMATS = ('onnx', 'torch_export', 'torchscript')


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'export-onnx',
        'Export a model for images of any height, width and number. The outputs of the file are compared with those of '
        'the model at several sizes, in onnxruntime and, where it is installed, in OpenVINO, and the file is kept if '
        'they agree: PART.onnx (or .pt2, .pt) in the work dir, and PART.onnx.json with the differences. If they '
        'differ, there is no file and the exit status is 1.',
        'mmseq export-onnx work_dirs/mask_rcnn_seq2d_nano_shapes',
        'mmseq export-onnx mmseq::upernet_seq2d_s_ade20k iter_160000.pth',
    )
    add_model_arguments(parser)
    add_checkpoint_argument(parser)
    parser.add_argument(
        '--part',
        choices=PARTS,
        default='model',
        help='backbone, features (backbone and neck), or the whole model: of segmentors logits and labels, of '
        'detectors boxes, scores, labels and masks, one image at a time (default: model)',
    )
    parser.add_argument('--format', choices=FORMATS, default='onnx', help='format of the file (default: onnx)')
    parser.add_argument(
        '--with-preprocessing',
        action='store_true',
        help='the input will be one picture as decoders give it, (H, W, 3) bytes with red first, in place of a '
        'batch of float32 images',
    )
    parser.add_argument(
        '--normalised',
        action='store_true',
        help='the inputs will be normalised images (default: pixels from 0 to 255, which the file normalises)',
    )
    parser.add_argument(
        '--sizes',
        nargs='+',
        metavar='HxW',
        help='image sizes to compare at, in batches of 1, 2, 3, 1, ... (default: 128x192 161x255 320x97; of whole '
        'detectors 256x384 321x255 480x161)',
    )
    parser.add_argument(
        '--pictures',
        nargs='+',
        metavar='FILE',
        default=[],
        help='pictures to compare detections on, resized to --sizes (default: embedded shapes, on which models of '
        'other things may find nothing)',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        default=1e-3,
        metavar='D',
        help='largest difference of maps allowed, relative to the largest output where that exceeds 1 (default: '
        '0.001); of detections boxes may differ by 0.5 px, scores by 0.001, masks by 0.01 of their IoU',
    )
    parser.add_argument('--opset', type=int, default=20, help='ONNX opset version (default: 20)')
    add_data_arguments(parser)
    return parser


@plainly
def main(argv: list[str] | None = None) -> int:
    """Returns 1 if the outputs of the file differ from the model's, else 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    if not args.tolerance >= 0:
        raise InputError(f'--tolerance {args.tolerance}: expected 0 or more')
    sizes = [size_of(text) for text in args.sizes or ()]
    from tqdm import tqdm

    from mmseq.export import DETECTOR_SIZES, FORMATS, SIZES, export, part_of
    from mmseq.export.onnx_file import require
    from mmseq.files import write_json
    from mmseq.model.trained import load_trained

    if args.with_preprocessing and args.normalised:
        raise InputError('--with-preprocessing takes pictures as they are, --normalised what was normalised: give one')
    if args.format == 'onnx':
        require()
    change = own_data(args)
    named = trained_model(args)
    cfg, model = load_trained(
        named.config, named.trained, options=args.cfg_options, work_dir=args.work_dir, device='cpu', change=change
    )
    with explaining(inference(cfg)):
        part = part_of(model, cfg, args.part, args.normalised, args.with_preprocessing)
        path = Path(cfg.work_dir) / f'{part.name}{FORMATS[args.format].suffix}'
        sizes = sizes or list(DETECTOR_SIZES if part.detector else SIZES)
        pictures = [picture_of(path) for path in args.pictures]
        # The beginning of a step is the end of the one before.
        done = chain([0], repeat(1))
        with tqdm(total=2 + len(sizes), unit='step', disable=None) as bar:

            def begin_step(text: str) -> None:
                bar.update(next(done))
                bar.set_description(text)

            report = export(part, path, args.format, sizes, args.tolerance, args.opset, begin_step, pictures)
            bar.update()
        written = write_json(f'{path}.json', dict(config=named.config, checkpoint=named.trained, **report.as_dict()))
        print(summary(report))
        if report.agrees:
            print(path)
        print(written)
        return int(not report.agrees)


def size_of(text: str) -> tuple[int, int]:
    """Height and width of ``512x2048``, or the side of a square.

    Raises:
        InputError: it is neither.
    """
    sides = text.lower().split('x')
    if len(sides) > 2 or not all(side.isdigit() for side in sides):
        raise InputError(f'--sizes {text}: expected HxW such as 161x255, or a side')
    return int(sides[0]), int(sides[-1])


def summary(report: 'Report') -> str:
    """The differences, for the terminal."""
    lines = [f'{report.part}, {report.format}, {report.bytes / 1e6:.1f} MB']
    lines += [
        f'{check.runtime}, {check.batch} x {check.height} x {check.width} px: {check.described()}'
        for check in report.checks
    ]
    if report.problem is not None:
        lines.append(f'NOT EXPORTED, it differs from the model: {report.problem}')
    return '\n'.join(lines)


def picture_of(path: str) -> 'np.ndarray':
    """(H, W, 3) bytes, red first.

    Raises:
        InputError: it cannot be read.
    """
    import cv2

    picture = cv2.imread(path)
    if picture is None:
        raise InputError(f'--pictures {path}: cannot be read as an image')
    return picture[:, :, ::-1].copy()
