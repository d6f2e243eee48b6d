"""A web page to try a trained model on."""

import argparse
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from mmseq.cli import (
    add_checkpoint_argument,
    add_data_arguments,
    add_device_argument,
    add_model_arguments,
    command_parser,
    own_data,
    plainly,
    positive,
    trained_model,
)

if TYPE_CHECKING:
    from torch import nn


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'demo-app',
        'Serve a web page that shows the predictions of a model for an image dropped on it: boxes, masks or '
        'segmentation, scores of the classes, and the effective receptive field of any level at any point. The page '
        'loads nothing from the network and sends nothing out. Ctrl-C ends it.',
        'mmseq demo-app work_dirs/mask_rcnn_seq2d_s_coco --open',
    )
    add_model_arguments(parser)
    add_checkpoint_argument(parser)
    add_device_argument(parser)
    parser.add_argument(
        '--host', default='127.0.0.1', help='address to listen at (default: 127.0.0.1, seen by this machine alone)'
    )
    parser.add_argument('--port', type=positive, help='port to listen at (default: 7860 or the next that is free)')
    parser.add_argument('--open', action='store_true', help='open the page in the browser')
    parser.add_argument(
        '--max-mb', type=positive, default=20, metavar='N', help='largest file that is accepted (default: 20)'
    )
    parser.add_argument(
        '--max-megapixels', type=positive, default=40, metavar='N', help='largest image that is accepted (default: 40)'
    )
    add_data_arguments(parser)
    return parser


@plainly
def main(argv: list[str] | None = None) -> int:
    """Returns 0 after Ctrl-C; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    from mmseq.addresses import public
    from mmseq.model.trained import load_trained
    from mmseq.predict.page.page import Page, require_gradio
    from mmseq.predict.page.viewer import Limits, Viewer
    from mmseq.predict.predictor import Predictor

    require_gradio()
    change = own_data(args)
    named = trained_model(args)
    _, model = load_trained(
        named.config, named.trained, options=args.cfg_options, work_dir=args.work_dir, device=args.device, change=change
    )
    viewer = Viewer(Predictor(model, certainty=True), Limits(args.max_mb * 2**20, args.max_megapixels * 10**6))
    page = Page(viewer, named.title, facts(model, public(named.trained)))
    print(f'{page.launch(args.host, args.port, browser=args.open)}   (Ctrl-C ends it)', flush=True)
    try:
        Event().wait()
    except KeyboardInterrupt:
        page.blocks.close(verbose=False)
    return 0


def facts(model: 'nn.Module', checkpoint: str) -> list[str]:
    """The class of the backbone, the number of parameters, the checkpoint and the device."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    device = next(model.parameters()).device.type
    return [type(model.backbone).__name__, f'{parameters / 1e6:.1f} M parameters', Path(checkpoint).name, device]
