"""What the backbones say of their archs: names and shapes of every tensor, without memory for a single number."""

import sys
from collections.abc import Mapping
from functools import lru_cache

import torch

from mmseq import backbones
from mmseq.backbones.base import Backbone
from mmseq.weights.fit import ArchTable


def backbone_class(family: str) -> type[Backbone]:
    """The backbone of a family of checkpoints."""
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
    cls = backbone_class(family)
    known = archs(family)
    with torch.device('meta'):
        tensors = {name: cls(name).state_dict() for name in ([only] if only in known else known)}
    return ArchTable(tensors, cls.input_conv, cls.position)
