"""Whether a backbone's levels fit the parts behind it: upstream finds out in its first pass."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmseq.errors import InputError
from mmseq.explain.work import inference

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import nn


def check_channels(model: 'nn.Module', cfg: 'Config') -> None:
    """Compare what a model's backbone gives with what its config says of the parts behind it.

    Args:
        model: with any wrapper around it; only a backbone that says its ``out_channels`` is looked at.
        cfg: the whole config.

    Raises:
        InputError: they differ.
    """
    for name, module in model.named_modules():
        if name.rpartition('.')[2] == 'backbone':
            problem = mismatch(cfg.model, getattr(module, 'out_channels', ()))
            if problem:
                raise InputError(inference(cfg).say(problem))


def mismatch(model: Mapping[str, Any], out_channels: Sequence[int]) -> str | None:
    """What is wrong between the levels that a backbone gives and those that a config's neck or heads expect.

    Args:
        model: the model's part of a config.
        out_channels: channels of each level, as the backbone that was built says.

    Returns:
        The key, its value and the right one; None if nothing is wrong or nothing can be known.
    """
    out = list(out_channels)
    if not out:
        return None
    for key, node in readers(model):
        expected = node.get('in_channels')
        index = node.get('in_index', -1) if isinstance(expected, int) else node.get('in_index', range(len(out)))
        wanted = [index] if isinstance(index, int) else list(index)
        if expected is None or not all(isinstance(i, int) for i in wanted):
            continue
        if any(not -len(out) <= i < len(out) for i in wanted):
            return f'{key}.in_index={wanted}, but the backbone gives {len(out)} levels, of {out} channels'
        read = [out[i] for i in wanted]
        given = read[0] if isinstance(expected, int) else read
        if given != (expected if isinstance(expected, int) else list(expected)):
            return f'{key}.in_channels={expected}, but the backbone gives {given}; set it to that'
    return None


def readers(model: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The parts of a model that read the backbone's levels: its neck, or the heads of a segmentor without one."""
    neck = model.get('neck')
    if neck:
        first = neck[0] if isinstance(neck, (list, tuple)) else neck
        # Necks of one level have a number here, and choose it in their own way.
        if isinstance(first.get('in_channels'), (list, tuple)):
            yield 'model.neck' if first is neck else 'model.neck.0', first
        return
    for name in ('decode_head', 'auxiliary_head'):
        heads = model.get(name) or []
        for i, head in enumerate(heads if isinstance(heads, (list, tuple)) else [heads]):
            yield f'model.{name}' if head is heads else f'model.{name}.{i}', head
