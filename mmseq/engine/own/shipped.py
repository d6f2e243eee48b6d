"""Weights that ship with the package, for few images and a backbone that would begin with random numbers."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmseq.checkpoints.zoo import Shipped, find_shipped
from mmseq.engine.config_classes import class_of

BACKBONE = 'model.backbone'
# Options that say what a model begins with, None included.
WEIGHTS = ('load_from', 'model.init_cfg', 'model.backbone.init_cfg')
# Arguments of a backbone with which the same weights fit.
FITTING = {'type', 'arch', 'name', 'in_channels', 'init_cfg', 'frozen_stages', 'drop_path_rate', 'with_cp'}
FITTING |= {'out_indices', 'out_strides', 'out_norm'}


def begin_with_shipped(cfg: Config, options: Mapping[str, Any]) -> list[str]:
    """Let the backbone of a config begin with the weights that ship for it; gives a line on it.

    Nothing is changed where weights are named, and where none ship for this backbone.

    Args:
        cfg: with the data of a card.
        options: what will override it.
    """
    card = None if names_weights(cfg, options) else weights_of(cfg, options)
    if card is None:
        return []
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=card.address)
    return [
        f'few images: the backbone begins with {card.address} ({card.data}, top-1 {card.top1:.1f} %); '
        f'--cfg-options {BACKBONE}.init_cfg=None begins with random weights'
    ]


def names_weights(cfg: Config, options: Mapping[str, Any]) -> bool:
    """Whether a config or its options say what the model begins with."""
    backbone = cfg.model.get('backbone') or {}
    given = cfg.get('load_from') or cfg.model.get('init_cfg') or backbone.get('init_cfg')
    return bool(given) or option_on_weights(options)


def option_on_weights(options: Mapping[str, Any]) -> bool:
    """Whether an option says what the model begins with."""
    return any(f'{key}.'.startswith(f'{name}.') for key in options for name in WEIGHTS)


def weights_of(cfg: Config, options: Mapping[str, Any]) -> Shipped | None:
    """The weights that ship for a config's backbone, as its options leave it."""
    changed = {
        key.removeprefix(f'{BACKBONE}.'): value for key, value in options.items() if key.startswith(f'{BACKBONE}.')
    }
    backbone = {**(cfg.model.get('backbone') or {}), **changed}
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        family = getattr(class_of(MODELS, backbone), 'family', None)
    arch = backbone.get('arch', backbone.get('name'))
    if set(backbone) <= FITTING and isinstance(family, str) and isinstance(arch, str):
        return find_shipped(family, arch)
    return None
