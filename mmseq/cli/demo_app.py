"""A web page to try a trained model on."""

import argparse
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from mmseq.cli import add_model_arguments, positive

if TYPE_CHECKING:
    from torch import nn


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='demo_app.py',
        description='Serve a web page on which to drop a picture and see boxes, masks or segmentation, scores of the '
        "classes, and the effective receptive field of the backbone's levels at any point. It listens at loopback, "
        'fetches nothing from outside and sends nothing there. Ctrl-C ends it.',
        epilog='example: python tools/demo_app.py configs/mask_rcnn_seq2d_s_coco.py epoch_12.pth --open',
    )
    add_model_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file of a training run with this config')
    parser.add_argument('--device', help='cpu or cuda (default: cuda if there is one)')
    parser.add_argument(
        '--host', default='127.0.0.1', help='address to listen at (127.0.0.1, seen by this machine alone)'
    )
    parser.add_argument('--port', type=positive, help='port to listen at (default: 7860 or the next that is free)')
    parser.add_argument('--open', action='store_true', help='open the page in the browser')
    parser.add_argument('--max-mb', type=positive, default=20, metavar='N', help='largest file that is taken (20)')
    parser.add_argument(
        '--max-megapixels', type=positive, default=40, metavar='N', help='largest picture that is taken (40)'
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 0 after Ctrl-C; raises InputError for what the user can mend."""
    args = build_parser().parse_args(argv)
    from mmseq.model.trained import load_trained
    from mmseq.predict.page.page import Page, require_gradio
    from mmseq.predict.page.viewer import Limits, Viewer
    from mmseq.predict.predictor import Predictor

    require_gradio()
    _, model = load_trained(
        args.config, args.checkpoint, options=args.cfg_options, work_dir=args.work_dir, device=args.device
    )
    viewer = Viewer(Predictor(model, certainty=True), Limits(args.max_mb * 2**20, args.max_megapixels * 10**6))
    page = Page(viewer, Path(args.config).stem, facts(model, args.checkpoint))
    print(f'{page.launch(args.host, args.port, browser=args.open)}   (Ctrl-C ends it)', flush=True)
    try:
        Event().wait()
    except KeyboardInterrupt:
        page.blocks.close(verbose=False)
    return 0


def facts(model: 'nn.Module', checkpoint: str) -> list[str]:
    """Short texts on a model."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    device = next(model.parameters()).device.type
    return [type(model.backbone).__name__, f'{parameters / 1e6:.1f} M parameters', Path(checkpoint).name, device]
