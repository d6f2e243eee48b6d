"""Strict loading of a backbone: every tensor of the file and of the model is accounted for, or it raises."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from mmseq.addresses import public
from mmseq.checkpoints.compare import casts, compare, shorten
from mmseq.checkpoints.fetch import locate
from mmseq.checkpoints.resize import fit_geometry
from mmseq.checkpoints.rules import Family, Renamed, absent_norms, place_blocks, rename
from mmseq.checkpoints.sequencer2d import SEQUENCER2D
from mmseq.checkpoints.shiftvit import SHIFTVIT
from mmseq.checkpoints.storage import load_file
from mmseq.checkpoints.vision_lstm import VISION_LSTM
from mmseq.checkpoints.vsequencer import VSEQUENCER
from mmseq.checkpoints.wrappers import unwrap
from mmseq.errors import InputError

FAMILIES: Mapping[str, Family] = {family.name: family for family in (SEQUENCER2D, VSEQUENCER, SHIFTVIT, VISION_LSTM)}

FOREIGN_MARKS: Mapping[str, str] = {
    'patch_embed.projection.weight': 'an OpenMMLab transformer such as Swin',
    'layers.0.blocks.0.attn.relative_position_bias_table': 'Swin',
    'downsample_layers.0.0.weight': 'ConvNeXt',
    'stem_0.weight': 'ConvNeXt (timm)',
    'stem.0.weight': 'ConvNeXt (timm)',
    'cls_token': 'a vision transformer',
    'layer1.0.conv1.weight': 'ResNet',
}
"""Keys by which a wrong file is recognised, so that the error can name its kind."""


class StrictModel(Protocol):
    """What loading needs to know of a backbone."""

    input_conv: str
    position: str | None
    native_patch: int | None
    num_stages: int
    all_depths: tuple[int, ...]
    dims: tuple[int, ...]

    def key_tables(self) -> Family: ...

    def translated(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]: ...

    def state_dict(self) -> dict[str, Tensor]: ...


@dataclass
class Report:
    """What became of every tensor."""

    source: str
    layout: str
    loaded: int
    dropped: dict[str, str] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)
    adapted: dict[str, str] = field(default_factory=dict)
    cast: str = ''

    def __str__(self) -> str:
        text = f'{self.loaded}/{self.loaded} tensors from {self.source} ({self.layout} layout)'
        for why in dict.fromkeys(self.dropped.values()):
            text += f'; {list(self.dropped.values()).count(why)} dropped on purpose ({why})'
        text += f'; {self.cast}' if self.cast else ''
        text += ''.join(f'; {key}: {how}' for key, how in self.adapted.items())
        if self.fresh:
            text += f'; {len(self.fresh)} new and left at their initial value ({shorten(self.fresh)})'
        return text


def pretrained(init_cfg: Any) -> tuple[str, str | None] | None:
    """The checkpoint and the prefix of an ``init_cfg``, a dict or a list of one; None if there is nothing to load.

    Raises:
        InputError: it asks for anything else, which would be dropped: backbones initialise themselves.
    """
    entries = list(init_cfg) if isinstance(init_cfg, (list, tuple)) else [init_cfg] if init_cfg else []
    if not entries:
        return None
    entry = entries[0] if isinstance(entries[0], Mapping) else {}
    name = getattr(entry.get('type'), '__name__', entry.get('type'))
    known = name in ('Pretrained', 'PretrainedInit') and set(entry) <= {'type', 'checkpoint', 'prefix'}
    texts = [entry.get('checkpoint'), entry.get('prefix') or '']
    if len(entries) > 1 or not known or not all(isinstance(text, (str, os.PathLike)) for text in texts):
        raise InputError(
            f"init_cfg={init_cfg}: expected dict(type='Pretrained', checkpoint=FILE), with prefix=NAME for one of "
            'several networks in the file; backbones initialise themselves, so no other initialiser is taken'
        )
    return os.fspath(entry['checkpoint']), entry.get('prefix') or None


def load_backbone(model: StrictModel, checkpoint: str | os.PathLike[str], prefix: str | None = None) -> Report:
    """Load a file of any known layout of the model's family into it.

    Args:
        model: a backbone.
        checkpoint: a file or an address; see :func:`~mmseq.checkpoints.fetch.locate`.
        prefix: name of the network in a file of several, such as ``teacher`` or ``teacher.backbone``.

    Returns:
        The report, whose text says "N/N tensors".

    Raises:
        InputError: the file is missing or unsafe, is of another family or architecture, or any tensor of the file or
            of the model stays unexplained. The model is left unchanged.
    """
    path = locate(checkpoint)
    tensors, note = unwrap(load_file(path), path, prefix=prefix)
    family, tensors = model.key_tables(), model.translated(tensors)
    layout = family.find_layout(tensors)
    if layout is None:
        raise InputError(f'checkpoint {public(checkpoint)} is no {family.name}: {describe(tensors)}')
    renamed = rename(tensors, layout)
    place_blocks(renamed, model.all_depths)
    drop_unbuilt(renamed, model)
    own = model.state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in own.items()}
    adapted = fit_geometry(renamed.tensors, shapes, model.input_conv, model.position, model.native_patch)
    fresh = [key for key in absent_norms(own, renamed.tensors) if is_intermediate_norm(key, model)]
    problems = compare(renamed.tensors, own, fresh)
    problems.foreign[:0] = renamed.unexplained
    if problems:
        raise InputError(
            f'checkpoint {public(checkpoint)} ({layout.name} layout) does not fit this {family.name}; nothing was '
            f'loaded. {problems}. Check arch or name, in_channels, out_norm and sizes of patches and grids.'
        )
    cast = casts(renamed.tensors, own)
    with torch.no_grad():
        for key, tensor in renamed.tensors.items():
            own[key].copy_(tensor)
    source = f'{os.path.basename(public(checkpoint))}{f" [{note}]" if note else ""}'
    return Report(source, layout.name, len(renamed.tensors), renamed.dropped, fresh, adapted, cast)


def drop_unbuilt(renamed: Renamed, model: StrictModel) -> None:
    """Leave out what the file holds for stages and norms that this model was not asked to build."""
    own = set(model.state_dict())
    for key in [key for key in renamed.tensors if key not in own]:
        stage = re.match(r'(stages|norms)\.(\d{1,5})\.', key)
        if not stage or int(stage[2]) >= model.num_stages:
            continue
        if stage[1] == 'norms':
            renamed.dropped[key] = 'norm of a level that is not returned'
        elif int(stage[2]) >= len(model.dims):
            renamed.dropped[key] = 'stage after the last of out_indices'
        else:
            continue
        del renamed.tensors[key]


def is_intermediate_norm(key: str, model: StrictModel) -> bool:
    """Norms of levels before the last stage: published classifiers have none, so they start new."""
    match = re.match(r'norms\.(\d{1,5})\.', key)
    return match is not None and int(match[1]) != model.num_stages - 1


def describe(keys: Iterable[str]) -> str:
    """What a foreign file looks like."""
    keys = list(keys)
    for family in FAMILIES.values():
        layout = family.find_layout(keys)
        if layout:
            return f"it looks like {family.name}'s ({layout.name} layout)"
    for mark, name in FOREIGN_MARKS.items():
        if mark in keys:
            return f'it looks like {name}'
    return f'its keys are not known: {shorten(keys, 4)}'
