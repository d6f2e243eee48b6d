"""The model of a config, without the weights of a run."""

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmseq.errors import InputError, first_line
from mmseq.explain import explaining
from mmseq.explain.channels import check_channels
from mmseq.explain.work import inference
from mmseq.registry import MODELS

if TYPE_CHECKING:
    from mmengine.model import BaseModel


def build(cfg: Config) -> 'BaseModel':
    """The model of a config, without values where its constructor does not ask for any.

    Raises:
        InputError: the model cannot be built.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        try:
            with torch.device('meta'):
                return build_here(cfg)
        except RuntimeError as error:
            # Some of upstream's constructors, such as Swin's, read a tensor that they have just made.
            if 'meta tensors' not in str(error):
                raise
            return build_here(cfg)


def build_here(cfg: Config) -> 'BaseModel':
    """The model of a config on the default device.

    Raises:
        InputError: it cannot be built, or its parts do not fit each other.
    """
    try:
        with explaining(inference(cfg)):
            # Constructors such as DINO's write into their config.
            model = MODELS.build(deepcopy(cfg.model))
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise InputError(f'the model cannot be built: {type(error).__name__}: {first_line(error)}') from error
    check_channels(model, cfg)
    return model
