"""From a file's payload to one state dict: wrappers, averaged weights, prefixes."""

import copy
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmseq.checkpoints.compare import FLOATS, WHOLE, shorten
from mmseq.errors import InputError

WRAPPERS = ('state_dict', 'model')
EMA_WRAPPERS = ('state_dict_ema', 'model_ema')
LONGEST_KEY = 1000
PREFIXES = ('module.', '_orig_mod.', 'model.')


def state_dict(
    payload: Any, path: str | os.PathLike[str], ema: bool = False, prefix: str | None = None
) -> tuple[dict[str, Tensor], str]:
    """The state dict in a file's payload, without wrappers and the prefixes that all keys share.

    Args:
        payload: what the file holds.
        path: for messages.
        ema: take the exponential moving average of the weights.
        prefix: take only the tensors under this name, such as ``teacher.backbone``, which is taken off.

    Returns:
        The tensors by name, and a note of what was taken off (empty if nothing).

    Raises:
        InputError: there is no state dict in it, no averaged one where that is asked for, nothing under the prefix, or
            one tensor under two names.
    """
    notes: list[str] = []
    if ema:
        payload = _averaged(payload, path, notes)
    for wrapper in WRAPPERS:
        if isinstance(payload, Mapping) and isinstance(payload.get(wrapper), Mapping):
            if not ema and wrapper == WRAPPERS[0] and 'ema_state_dict' in payload:
                notes.append('moving average, which mmengine saves in place of the trained weights')
            elif not ema and set(payload) & set(EMA_WRAPPERS):
                notes.append('trained weights; their moving average is there too')
            payload = payload[wrapper]
            notes.append(f'under {wrapper!r}')
    if not isinstance(payload, Mapping):
        raise InputError(f'checkpoint {path}: holds a {type(payload).__name__} instead of tensors by name')
    odd = [str(key) for key, value in payload.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if odd or not payload:
        what = f'{odd[0]!r:.80} is no tensor' if odd else 'it is empty'
        raise InputError(f'checkpoint {path}: no state dict found ({what}); looked under {", ".join(WRAPPERS)}')
    # A state dict's notes on versions stay.
    tensors: dict[str, Tensor] = copy.copy(dict(payload) if not isinstance(payload, dict) else payload)
    for key, tensor in tensors.items():
        _refuse_odd(key, tensor, path)
    if prefix:
        tensors = _under(tensors, prefix, path)
        notes.append(f'under {prefix!r}')
    tensors = _without_prefixes(tensors, notes)
    doubled = [key for key in tensors if any(f'{shared}{key}' in tensors for shared in PREFIXES[:2])]
    if doubled:
        raise InputError(
            f"checkpoint {path}: holds {shorten(doubled, 4)} twice, with and without a wrapper's prefix "
            f'({" or ".join(PREFIXES[:2])}); save the weights of one model'
        )
    return tensors, ', '.join(notes)


def _without_prefixes(tensors: dict[str, Tensor], notes: list[str]) -> dict[str, Tensor]:
    """Take off the prefixes that all keys share."""
    while prefix := next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in tensors)), None):
        tensors = {key[len(prefix) :]: value for key, value in tensors.items()}
        notes.append(f'prefix {prefix!r}')
    return tensors


def _under(tensors: dict[str, Tensor], prefix: str, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """What stands under a name, as the file has it or behind the prefixes that all keys share."""
    prefix = prefix if prefix.endswith('.') else f'{prefix}.'
    for candidates in (tensors, _without_prefixes(tensors, [])):
        inside = {key[len(prefix) :]: value for key, value in candidates.items() if key.startswith(prefix)}
        if inside:
            return inside
    found = sorted({key.partition('.')[0] for key in tensors})
    raise InputError(f'checkpoint {path}: holds nothing under prefix={prefix!r}; its names begin with {shorten(found)}')


def unwrap(
    payload: Any, path: str | os.PathLike[str], ema: bool = False, prefix: str | None = None
) -> tuple[dict[str, Tensor], str]:
    """The backbone in a file's payload; arguments, result and errors as in :func:`state_dict`."""
    tensors, note = state_dict(payload, path, ema, prefix)
    inside = {key[9:]: value for key, value in tensors.items() if key.startswith('backbone.')}
    if inside:
        left = f'backbone of a whole model, {len(tensors) - len(inside)} tensors of its other parts left out'
        tensors, note = inside, f'{note}, {left}' if note else left
    return tensors, note


def _averaged(payload: Any, path: str | os.PathLike[str], notes: list[str]) -> Mapping[str, Any]:
    keys = list(payload) if isinstance(payload, Mapping) else []
    if 'ema_state_dict' in keys and 'state_dict' in keys:
        # mmengine's EMAHook swaps the two as it saves, so that whoever takes 'state_dict' has the average.
        notes.append('moving average')
        return payload
    for wrapper in EMA_WRAPPERS:
        if wrapper in keys and isinstance(payload[wrapper], Mapping):
            notes.append(f'moving average, under {wrapper!r}')
            return payload[wrapper]
    raise InputError(
        f'checkpoint {path}: holds no moving average of the weights; its keys are {", ".join(map(str, keys[:8]))}'
    )


def _refuse_odd(key: str, tensor: Tensor, path: str | os.PathLike[str]) -> None:
    """A file can describe tensors without numbers, or with more of them than it holds, under any name."""
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise InputError(f'checkpoint {path}: {key[:80]!r} is no name of a tensor; it is damaged, or made to deceive')
    plain = tensor.layout == torch.strided and tensor.device.type != 'meta' and not tensor.is_quantized
    if not plain or type(tensor) not in (Tensor, torch.nn.Parameter) or tensor.dtype not in (*FLOATS, *WHOLE):
        raise InputError(f'checkpoint {path}: {key} is no plain dense tensor of common numbers ({tensor.dtype})')
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes() and tensor.numel() > 2**20:
        raise InputError(
            f'checkpoint {path}: {key} {tuple(tensor.shape)} repeats the few numbers that the file holds for it; '
            'it is damaged, or made to fill the memory'
        )
