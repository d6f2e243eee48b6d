"""From what a user names to a flat state dict: its file, without wrappers and prefixes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mmseq.checkpoints.fetch import locate
from mmseq.checkpoints.files import load_file
from mmseq.errors import InputError

WRAPPERS = ('state_dict', 'model')
PREFIXES = ('module.', '_orig_mod.', 'model.')


def unwrap(payload: Any, path: Path) -> tuple[dict[str, Tensor], str]:
    """The state dict in a file's payload, without wrappers and prefixes.

    Args:
        payload: what the file holds.
        path: for messages.

    Returns:
        The backbone's tensors by name, and a note of what was taken off (empty if nothing).

    Raises:
        InputError: there is no state dict in it.
    """
    notes = []
    for wrapper in WRAPPERS:
        if isinstance(payload, Mapping) and isinstance(payload.get(wrapper), Mapping):
            payload = payload[wrapper]
            notes.append(repr(wrapper))
    if not isinstance(payload, Mapping):
        raise InputError(f'checkpoint {path}: holds a {type(payload).__name__} instead of tensors by name')
    odd = [str(key) for key, value in payload.items() if not isinstance(value, Tensor)]
    if odd or not payload:
        what = f'{odd[0]!r} is no tensor' if odd else 'it is empty'
        raise InputError(f'checkpoint {path}: no state dict found ({what}); looked under {", ".join(WRAPPERS)}')
    tensors = dict(payload)
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key[len(prefix) :]: value for key, value in tensors.items()}
            notes.append(f'prefix {prefix!r}')
    inside = {key[9:]: value for key, value in tensors.items() if key.startswith('backbone.')}
    if inside:
        notes.append(f'backbone of a whole model, {len(tensors) - len(inside)} tensors of its other parts left out')
        tensors = inside
    return tensors, ', '.join(notes)


def read(name: str | os.PathLike[str]) -> tuple[dict[str, Tensor], str]:
    """Locate, open safely and unwrap; see :func:`~mmseq.checkpoints.fetch.locate` and :func:`unwrap`."""
    path = locate(name)
    return unwrap(load_file(path), path)
