"""A backbone by any of its names: a card, an arch of ours, a model of timm."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmseq.checkpoints import FAMILIES
from mmseq.checkpoints.published import published
from mmseq.compat import shipped_configs
from mmseq.errors import InputError, first_line
from mmseq.explain.files import explained
from mmseq.registry import MODELS
from mmseq.weights.arch_tables import archs, backbone_class

STRIDES = (4, 8, 16, 32)
"""Of the maps that every head gets, whatever the backbone's own are."""


@dataclass(frozen=True)
class Candidate:
    """A backbone to be compared.

    Args:
        name: as it was given.
        backbone: for the config of a model.
        channels: of its maps at ``STRIDES``.
    """

    name: str
    backbone: Mapping[str, Any]
    channels: tuple[int, ...]

    @property
    def label(self) -> str:
        """The name as that of a file."""
        return re.sub(r'[^\w.-]+', '_', self.name.removesuffix('.py')).strip('._')

    @property
    def weights(self) -> str:
        """What it begins with."""
        init = self.backbone.get('init_cfg')
        return str(init['checkpoint']) if init else 'random'


def find_candidates(names: list[str], from_scratch: bool) -> list[Candidate]:
    """The backbones of several names.

    Args:
        names: of cards (``swin_t``, or the path of one), of our archs (``sequencer2d_s``) or of timm.
        from_scratch: begin with random weights, and without what goes with pretrained ones.

    Raises:
        InputError: a name is unknown, given twice, or that of a model that cannot be such a backbone.
    """
    found = [find_candidate(name, from_scratch) for name in names]
    labels = [one.label for one in found]
    doubled = next((label for place, label in enumerate(labels) if label in labels[:place]), None)
    if doubled:
        raise InputError(f'--backbones: {doubled} is there twice')
    return found


def find_candidate(name: str, from_scratch: bool) -> Candidate:
    """The backbone of one name; see :func:`find_candidates`."""
    backbone = dict(of_card(name) or of_arch(name) or of_timm(name))
    if from_scratch:
        backbone['init_cfg'] = None
        # Statistics of random weights are nobody's to keep.
        backbone.pop('norm_eval', None)
        backbone.pop('frozen_stages', None)
    backbone['out_strides'] = STRIDES
    return Candidate(name, backbone, channels_of(name, backbone))


def channels_of(name: str, backbone: Mapping[str, Any]) -> tuple[int, ...]:
    """Of the maps of a backbone, which is built without values.

    Raises:
        InputError: it cannot be built, or does not tell them.
    """
    try:
        with torch.device('meta'):
            built = MODELS.build({**backbone, 'init_cfg': None})
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'backbone {name}: cannot be built: {first_line(error)}') from error
    channels = tuple(getattr(built, 'out_channels', ()))
    if len(channels) != len(STRIDES):
        raise InputError(f'backbone {name}: gives {len(channels)} maps with known channels; the heads take 4')
    return channels


def cards() -> dict[str, Path]:
    """The cards that come with mmseq, by name."""
    return {path.stem: path for path in sorted((shipped_configs.folder() / '_base_' / 'backbones').glob('*.py'))}


def of_card(name: str) -> Mapping[str, Any] | None:
    """What a card says; None if the name is no card's.

    Raises:
        InputError: a file without a backbone.
    """
    path = Path(name) if name.endswith('.py') else cards().get(name)
    if path is None:
        return None
    if not path.is_file():
        raise InputError(f'backbone {name}: no such file')
    with explained(name, str(path)):
        backbone = Config.fromfile(path).get('backbone')
    if not isinstance(backbone, Mapping) or 'type' not in backbone:
        raise InputError(f'backbone {name}: the file defines no backbone = dict(type=...)')
    return backbone.to_dict() if hasattr(backbone, 'to_dict') else dict(backbone)


def of_arch(name: str) -> Mapping[str, Any] | None:
    """An arch of ours with its published weights, if there are any; None if the name is none."""
    for family in FAMILIES:
        arch = name.removeprefix(f'{family}_')
        if arch != name and arch in archs(family):
            rows = (row for row in published() if (row.family, row.arch) == (family, arch) and not row.options)
            row = next(rows, None)
            kind = getattr(backbone_class(family), '__name__', family)
            return dict(type=f'mmseq.{kind}', arch=arch, init_cfg=pretrained(row.address) if row else None)
    return None


def of_timm(name: str) -> Mapping[str, Any]:
    """A model of timm with the weights of its tag, or those that timm prefers.

    Raises:
        InputError: there is no such model, nor anything else of that name.
    """
    timm_names: list[str] = []
    if find_spec('timm'):
        import timm

        if timm.is_model(name):
            config = timm.get_pretrained_cfg(name)
            tag = config.tag if config and (config.hf_hub_id or config.url) else None
            address = f'timm://{name.partition(".")[0]}.{tag}'
            return dict(type='mmseq.Timm', name=name, init_cfg=pretrained(address) if tag else None)
        timm_names = timm.list_models()
    known = [*cards(), *(f'{family}_{arch}' for family in FAMILIES for arch in archs(family)), *timm_names]
    near = ', '.join(get_close_matches(name, known, 3, cutoff=0.0))
    what = "timm's models" if timm_names else "timm's models (pip install 'mmseq[timm]')"
    raise InputError(f'backbone {name}: is no card, no arch of ours and none of {what}; nearest: {near}')


def pretrained(checkpoint: str) -> dict[str, str]:
    """For ``init_cfg``."""
    return dict(type='Pretrained', checkpoint=checkpoint)
