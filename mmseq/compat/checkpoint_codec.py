"""mmengine's training checkpoints to and from the records that the checkpoint files hold."""

import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy
import torch
from mmengine.logging import HistoryBuffer, print_log
from torch import Tensor

from mmseq.checkpoints.records import DROP, NUMBER_TYPES, ArrayRecord, HistoryRecord, map_tree

_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray)
# The plain form of subclasses; the first that fits decides.
_PLAIN_FORMS: tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((list, deque, range), list),
    *(((kind,), kind) for kind in (tuple, str, int, float, complex)),
)


def encode(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the checkpoint with histories and numpy data as records, and everything else as plain data.

    Subclasses of dict, list, tuple, str and numbers become those; sets, deques and ranges become lists or sets, paths
    become str, members of an enumeration their values. What has no plain form is left out, with a warning that names
    it. Tensors are shared with `checkpoint`, which is not changed.
    """
    return map_tree(checkpoint, _encode_value)


def _encode_value(value: Any, path: str) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return _encode_mapping(value)
    if type(value) in (list, tuple) or _is_torch_data(value):
        return value
    encoded = _encode_special(value)
    if encoded is None:
        kind = f'{type(value).__module__}.{type(value).__qualname__}'
        print_log(
            f'checkpoint: {path} is a {kind}, which cannot be stored without running code on loading: left out',
            logger='current',
            level=logging.WARNING,
        )
        return DROP
    return encoded[0]


def _is_torch_data(value: Any) -> bool:
    return isinstance(value, torch.Tensor | torch.Size | torch.dtype | torch.device | torch.layout)


def _encode_mapping(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if type(value) in (dict, OrderedDict, Counter) and all(type(key) in _PLAIN for key in value):
        return value
    return {_plain_key(key): item for key, item in value.items()}


def _plain_key(key: Any) -> Any:
    """Return a key of a dict, or an element of a set, as plain data; what has no plain form is known by its name."""
    if type(key) in _PLAIN:
        return key
    if isinstance(key, numpy.generic):
        return key.item()
    if isinstance(key, tuple):
        return tuple(_plain_key(part) for part in key)
    encoded = None if isinstance(key, frozenset) else _encode_special(key)
    return encoded[0] if encoded else str(key)


def _encode_special(value: Any) -> list[Any] | None:
    """Return the plain form in a list of one, or None where there is none."""
    if isinstance(value, HistoryBuffer):
        return _encode_history(value)
    if isinstance(value, numpy.ndarray | numpy.generic):
        return _encode_array(value)
    if isinstance(value, Enum):
        return [value.value] if type(value.value) in _PLAIN else None
    if isinstance(value, PurePath):
        return [str(value)]
    if isinstance(value, set | frozenset):
        return [{_plain_key(item) for item in value}]
    for kinds, plain in _PLAIN_FORMS:
        if isinstance(value, kinds):
            return [plain(value)]
    return None


def _encode_history(value: Any) -> list[HistoryRecord] | None:
    log, count = (encoded[0].values if (encoded := _encode_array(array)) else None for array in value.data)
    if not isinstance(log, Tensor) or not isinstance(count, Tensor):
        return None
    return [HistoryRecord(log, count, int(value.max_length))]


def _encode_array(value: Any) -> list[ArrayRecord] | None:
    array = numpy.asarray(value)
    scalar = isinstance(value, numpy.generic)
    code = array.dtype.newbyteorder('=').str[1:]
    if code[0] == 'U':
        return [ArrayRecord(array.tolist(), code, scalar)]
    if code not in NUMBER_TYPES:
        return None
    # A copy, since torch takes no negative strides and warns of arrays that are read-only.
    native = numpy.array(array, dtype=array.dtype.newbyteorder('='), order='C', copy=True)
    return [ArrayRecord(torch.from_numpy(native), code, scalar)]


def decode(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the checkpoint with records as `HistoryBuffer` objects, numpy arrays and numpy scalars."""
    return map_tree(checkpoint, _decode_value)


def _decode_value(value: Any, path: str) -> Any:
    if isinstance(value, HistoryRecord):
        history = HistoryBuffer(max_length=value.max_length)
        # Not through the constructor, which would warn of and cut a history as long as its limit allows.
        history._log_history = value.log_history.numpy()
        history._count_history = value.count_history.numpy()
        return history
    if isinstance(value, ArrayRecord):
        values = value.values if isinstance(value.values, list | str) else value.values.numpy()
        array = numpy.array(values, dtype=value.dtype)
        return array[()] if value.scalar else array
    return value
