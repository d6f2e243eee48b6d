"""Whether a converted file equals its source: bit for bit, and in the features of a model."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmseq.checkpoints import load_backbone
from mmseq.checkpoints.rules import rename, restore, same_bits
from mmseq.errors import InputError
from mmseq.weights.arch_tables import backbone_class
from mmseq.weights.conversion import Conversion, convert
from mmseq.weights.fit import ArchTable
from mmseq.weights.opened import Source, open_source

TOLERANCE = 1e-5
SIZE = 224
"""Pixels per side of timm's sequencers."""


def verify(done: Conversion, written: Path, table: ArchTable) -> list[str]:
    """Everything that can be checked of a written file, in words.

    Raises:
        InputError: it is not what it was made from.
    """
    checked = (check_round_trip(done, written, table), check_features(done, written))
    return [text for text in checked if text]


def check_round_trip(done: Conversion, written: Path, table: ArchTable) -> str:
    """Convert a written file back and compare it with its source bit for bit.

    Returns:
        What was compared, for the report.

    Raises:
        InputError: a tensor came back otherwise than the account of the conversion says.
    """
    source = done.source
    to = source.layout.name.split()[0]
    back = convert(open_source(written), table, to, done.arch, keep_head=True, geometry=done.geometry)
    left = {*done.resized, *done.inexact}
    compared = [key for key in source.tensors if key not in left and key not in done.dropped]
    wrong = [key for key in compared if not same_bits(back.tensors.get(key, torch.empty(0)), source.tensors[key])]
    if wrong or not compared:
        raise InputError(
            f'verification of {source.name}: {len(wrong)} of {len(compared)} tensors do not come back bit for bit, '
            f'for example {", ".join(wrong[:3])}; nothing was written'
        )
    remark = f'; {len(left)} resized or rounded ones, listed above, were left out' if left else ''
    return f'round trip: {len(compared)}/{len(compared)} tensors come back bit for bit{remark}'


def check_features(done: Conversion, written: Path, images: int = 2) -> str | None:
    """Compare timm's Sequencer2D, with the source's weights, with ours, with the written file's.

    Returns:
        What was compared and the figure, or that it was not; None where timm has no such model.

    Raises:
        InputError: the features differ by more than a relative ``TOLERANCE``.
    """
    name = f'sequencer2d_{done.arch}'
    if done.source.family.name != 'sequencer2d' or done.resized or done.absent:
        return None
    try:
        import timm
    except ModuleNotFoundError:
        return "features: not compared with timm's, which is not installed (pip install timm)"
    if name not in timm.list_models():
        return None
    # Its own methods are not known of what timm creates.
    peer: Any = timm.create_model(name, pretrained=False, num_classes=0).eval()
    peer.load_state_dict(_for_timm(done.source))
    model = backbone_class('sequencer2d')(done.arch).eval()
    load_backbone(model, written)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(images, 3, SIZE, SIZE, generator=generator)
    with torch.no_grad():
        expected = peer.forward_features(pixels).permute(0, 3, 1, 2)
        got = model(pixels)[-1]
    error = float((got - expected).norm() / expected.norm())
    if not error <= TOLERANCE:
        raise InputError(
            f'verification of {done.source.name}: features of {images} random images differ from '
            f"timm's by {error:.2g} of their norm, more than {TOLERANCE:g}; nothing was written"
        )
    return f"features: {images} random images of {SIZE} px differ from timm's {name} by {error:.1g} of their norm"


def _for_timm(source: Source) -> dict[str, Tensor]:
    """A source's weights in timm's names, without the classifier."""
    timm_layout = next(layout for layout in source.family.layouts if layout.name == 'timm')
    tensors = source.tensors
    if source.layout is not timm_layout:
        tensors = restore(rename(tensors, source.layout).tensors, timm_layout).tensors
    return {key: tensor for key, tensor in tensors.items() if not key.startswith('head.')}
