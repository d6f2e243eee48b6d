"""A trained model as a file that runs without this package."""

import argparse
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING

from mmseq.cli import add_model_arguments
from mmseq.errors import InputError
from mmseq.explain import explaining
from mmseq.explain.work import inference

if TYPE_CHECKING:
    from mmseq.export import Check, Report

# As mmseq.export has them, which is slow to import.
PARTS = ('backbone', 'features', 'segmentor')
FORMATS = ('onnx', 'torch_export', 'torchscript')


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='export_onnx.py',
        description='Export a model for images of any height, width and number, compare what the file answers at '
        'several sizes with what the model answers, and keep the file if they agree: PART.onnx (or .pt2, .pt) in the '
        'work dir, and beside it PART.onnx.json with the differences. Ends with status 1 if they differ; then there '
        'is no file.',
        epilog='example: python tools/export_onnx.py configs/upernet_seq2d_s_ade20k.py iter_160000.pth',
    )
    add_model_arguments(parser)
    parser.add_argument('checkpoint', help='of a training run')
    parser.add_argument(
        '--part',
        choices=PARTS,
        help='the backbone alone, with its neck, or a whole segmentor, which gives logits and labels (default); '
        'detectors can be exported up to their features',
    )
    parser.add_argument('--format', choices=FORMATS, default='onnx', help='default: onnx')
    parser.add_argument(
        '--normalised',
        action='store_true',
        help='the images will come normalised; by default they come as pixels from 0 to 255 and the file normalises',
    )
    parser.add_argument(
        '--sizes',
        nargs='+',
        metavar='HxW',
        help='sizes to compare at, with 1, 2, 3, 1, ... images (default: 128x192 161x255 320x97)',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        default=1e-3,
        metavar='D',
        help='largest difference of any number that is let pass, of outputs beyond 1 in units of the largest '
        '(default: 0.001)',
    )
    parser.add_argument('--opset', type=int, default=20, help="ONNX's version of the operators (default: 20)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 1 if the file does not answer as the model does, else 0; raises InputError for what the user can mend."""
    args = build_parser().parse_args(argv)
    if not args.tolerance >= 0:
        raise InputError(f'--tolerance {args.tolerance}: a difference is 0 or more')
    sizes = [size_of(text) for text in args.sizes or ()]
    from tqdm import tqdm

    from mmseq.export import FORMATS, SIZES, export, part_of
    from mmseq.export.onnx_file import require
    from mmseq.files import write_json
    from mmseq.model.trained import load_trained

    if args.format == 'onnx':
        require()
    cfg, model = load_trained(
        args.config, args.checkpoint, options=args.cfg_options, work_dir=args.work_dir, device='cpu'
    )
    with explaining(inference(cfg)):
        part = part_of(model, cfg, args.part, args.normalised)
        path = Path(cfg.work_dir) / f'{part.name}{FORMATS[args.format].suffix}'
        sizes = sizes or list(SIZES)
        # When a step begins, the one before is done.
        done = chain([0], repeat(1))
        with tqdm(total=2 + len(sizes), unit='step', disable=None) as bar:

            def said(text: str) -> None:
                bar.update(next(done))
                bar.set_description(text)

            report = export(part, path, args.format, sizes, args.tolerance, args.opset, said)
            bar.update()
        written = write_json(f'{path}.json', dict(config=args.config, checkpoint=args.checkpoint, **report.as_dict()))
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
    lines += [f'{check.batch} x {check.height} x {check.width} px: {differences(check)}' for check in report.checks]
    verdict = 'at most' if report.agrees else 'NOT EXPORTED, it differs from the model by'
    lines.append(f'{verdict} {report.worst:.2g}, let pass up to {report.tolerance:g}')
    return '\n'.join(lines)


def differences(check: 'Check') -> str:
    """Of all outputs at one size."""
    words = []
    for name, difference in check.outputs.items():
        if difference.pixels is None:
            words.append(f'{name} {difference.absolute:.2g} of {difference.largest:.3g}')
        else:
            words.append(f'{name} {100 * difference.pixels:.2g} % of pixels')
    return ', '.join(words)
