"""What the backbones say of their archs: names and shapes of every tensor, without memory for a single number."""

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache

import torch

from mmseq import backbones
from mmseq.backbones.base import Backbone
from mmseq.weights.fit import ArchTable


def backbone_class(family: str) -> Callable[..., Backbone]:
    """The backbone of a family of checkpoints; its constructor takes an arch first."""
    return next(
        found
        for found in vars(backbones).values()
        if isinstance(found, type) and issubclass(found, Backbone) and getattr(found, 'family', None) == family
    )


def archs(family: str) -> Mapping[str, object]:
    """The family's arch table, by name."""
    return vars(sys.modules[backbone_class(family).__module__])['ARCHS']


@lru_cache
def arch_table(family: str, only: str | None = None) -> ArchTable:
    """The tensors of every arch of a family, on the meta device.

    Args:
        family: a name of ``mmseq.checkpoints.FAMILIES``.
        only: an arch; an unknown one, or None, takes all.
    """
    build, known = backbone_class(family), archs(family)
    with torch.device('meta'):
        models = {name: build(name) for name in ([only] if only is not None and only in known else known)}
    first = next(iter(models.values()))
    return ArchTable({name: model.state_dict() for name, model in models.items()}, first.input_conv, first.position)
