"""What a training checkpoint holds beside tensors, as inert records.

Training files of mmengine hold `HistoryBuffer` objects, numpy arrays and numpy scalars, those of ShiftViT an
`argparse.Namespace`. Unpickling such a file means calling what the file names. Here the few names that genuine files
use are answered with classes that only note down what they were called with; `interpret` reads the notes afterwards
and checks every one of them. Nothing that a file can name does anything.
"""

import copy
import math
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import Any, TypeVar

import torch
from torch import Tensor

# Key of a plain dict that stands for a record in a file written by this package.
MARKER = '__mmseq__'

# What `map_tree` is given back for a value that its container is to leave out.
DROP = object()

# What a file may write out to; strings count one per 16 characters.
MOST_VALUES = 20_000_000
_LONGEST_PATH = 200
_STATISTICS = ('min', 'max', 'current', 'mean')
NUMBER_TYPES = {
    'b1': torch.bool,
    'u1': torch.uint8,
    'u2': torch.uint16,
    'u4': torch.uint32,
    'u8': torch.uint64,
    'i1': torch.int8,
    'i2': torch.int16,
    'i4': torch.int32,
    'i8': torch.int64,
    'f2': torch.float16,
    'f4': torch.float32,
    'f8': torch.float64,
    'c8': torch.complex64,
    'c16': torch.complex128,
}


class RefusedError(ValueError):
    """The file asks for something that no genuine checkpoint needs; the text says for what."""


@dataclass
class HistoryRecord:
    """The values, their counts and the length limit of one `mmengine.logging.HistoryBuffer`."""

    log_history: Tensor
    count_history: Tensor
    max_length: int


@dataclass
class ArrayRecord:
    """A numpy array or scalar: a CPU tensor, or nested lists of str where `dtype` is of kind U."""

    values: Tensor | list[Any] | str
    dtype: str
    scalar: bool = False


N = TypeVar('N', bound='_Noted')


class _Noted:
    """Stands in for a class or function that a pickle calls; keeps the arguments and the state, does nothing."""

    args: tuple[Any, ...] = ()
    state: Any = None

    def __new__(cls: type[N], *args: Any) -> N:
        noted = super().__new__(cls)
        noted.args = args
        return noted

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _NotedHistory(_Noted):
    pass


class _NotedNamespace(_Noted):
    pass


class _NotedDtype(_Noted):
    pass


class _NotedArray(_Noted):
    pass


class _NotedScalar(_Noted):
    pass


class _NotedStatistic(_Noted):
    """`getattr(HistoryBuffer, 'mean')` and its three sisters: the one use of getattr in genuine files."""

    def __new__(cls, *args: Any) -> '_NotedStatistic':
        if len(args) != 2 or args[0] is not _NotedHistory or type(args[1]) is not str or args[1] not in _STATISTICS:
            raise RefusedError(f'a call of builtins.getattr for {args[1:]!r:.60}')
        return super().__new__(cls, *args)


def _empty_bytes(*args: Any) -> bytes:
    """Stand in for `bytes()`, which protocol 2 writes for empty bytes; with an argument it could fill the memory."""
    if args:
        raise RefusedError('a call of builtins.bytes with arguments')
    return b''


# Every name beyond torch's own list of harmless ones, with what answers to it.
STAND_INS: tuple[tuple[Callable[..., Any], str], ...] = (
    (_empty_bytes, 'builtins.bytes'),
    (_NotedHistory, 'mmengine.logging.history_buffer.HistoryBuffer'),
    (_NotedStatistic, 'builtins.getattr'),
    (_NotedNamespace, 'argparse.Namespace'),
    (_NotedDtype, 'numpy.dtype'),
    (_NotedArray, 'numpy.ndarray'),
    (_NotedArray, 'numpy.core.multiarray._reconstruct'),
    (_NotedArray, 'numpy._core.multiarray._reconstruct'),
    (_NotedScalar, 'numpy.core.multiarray.scalar'),
    (_NotedScalar, 'numpy._core.multiarray.scalar'),
)


def map_tree(tree: Any, replace: Callable[[Any, str], Any], most: float = math.inf) -> Any:
    """Ask `replace(value, path)` about every value below `tree`, then descend into dicts, lists and tuples.

    Containers in which nothing changed are returned as they are, so attributes such as `_metadata` of a state dict
    stay; changed ones are copied, never written to. Where `replace` answers `DROP` a dict loses the key, a list or
    tuple holds None. Shared containers are visited once.

    Args:
        most: values and pieces of text that the tree may have once shared containers are written out at each place.

    Raises:
        RefusedError: a container holds itself, the nesting is deeper than Python's stack, or there is too much of it.
    """
    try:
        return _Walk(replace, most).visit(tree, '')
    except RecursionError:
        raise RefusedError('containers nested too deep') from None


class _Walk:
    def __init__(self, replace: Callable[[Any, str], Any], most: float) -> None:
        self.replace = replace
        self.most = most
        self.sizes: dict[int, int] = {}
        # The visited value is kept beside its result: a freed one could lend its id to another.
        self.seen: dict[int, tuple[Any, Any]] = {}
        self.open: set[int] = set()

    def visit(self, value: Any, path: str) -> Any:
        if id(value) in self.seen:
            return self.seen[id(value)][1]
        if id(value) in self.open:
            raise RefusedError(f'a container that holds itself at {path}')
        replaced = self.replace(value, path)
        if type(replaced) not in (dict, OrderedDict, list, tuple):
            return replaced
        self.open.add(id(value))
        items = replaced.items() if isinstance(replaced, dict) else enumerate(replaced)
        # The end of a path will do: a file can nest long keys.
        pairs = [(key, old, self.visit(old, f'{path}.{key}'[-_LONGEST_PATH:].lstrip('.'))) for key, old in items]
        self.open.discard(id(value))
        self.sizes[id(value)] = 1 + sum(self.sizes.get(id(old)) or _size(old) for _, old, _ in pairs)
        if self.sizes[id(value)] > self.most:
            raise RefusedError(f'containers in containers that write out to more than {self.most} values')
        result = _rebuild(replaced, pairs)
        self.seen[id(value)] = (value, result)
        return result


def _size(value: Any) -> int:
    return 1 + len(value) // 16 if isinstance(value, str | bytes | bytearray) else 1


def _rebuild(container: Any, pairs: list[tuple[Any, Any, Any]]) -> Any:
    if all(new is old for _, old, new in pairs):
        return container
    if not isinstance(container, dict):
        return type(container)(None if new is DROP else new for _, _, new in pairs)
    # `copy.copy` keeps the attributes of an OrderedDict, its own `copy` method does not.
    result = copy.copy(container)
    for key, _, new in pairs:
        if new is DROP:
            del result[key]
        else:
            result[key] = new
    return result


def interpret(tree: Any) -> Any:
    """Turn what was noted while unpickling, and the plain dicts written by `to_plain`, into records.

    An `argparse.Namespace` becomes a dict of its attributes.

    Raises:
        RefusedError: something was noted that numpy, argparse or mmengine do not write.
    """
    return map_tree(tree, _interpret_value, MOST_VALUES)


def _interpret_value(value: Any, path: str) -> Any:
    if isinstance(value, _NotedHistory):
        return _read_history(value.state)
    if isinstance(value, _NotedNamespace):
        return dict(_expect(value.state, dict, 'argparse.Namespace'))
    if isinstance(value, _NotedArray):
        return _read_array(value)
    if isinstance(value, _NotedScalar):
        dtype, data = _expect_all(value.args, (_NotedDtype, bytes), 'numpy scalar')
        return _array_record(dtype, (), data, column_major=False, scalar=True)
    if isinstance(value, _NotedStatistic | _NotedDtype):
        raise RefusedError(f'a lone {type(value).__name__.removeprefix("_Noted").lower()} at {path}')
    if isinstance(value, type) and issubclass(value, _Noted):
        raise RefusedError(f'a bare name at {path}')
    if type(value) is dict and MARKER in value:
        return _from_plain(value)
    return value


def _expect(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        raise RefusedError(f'a {what} with {type(value).__name__} in place of {kind.__name__}')
    return value


def _expect_all(values: Any, kinds: tuple[type, ...], what: str) -> tuple[Any, ...]:
    if not isinstance(values, tuple) or len(values) != len(kinds):
        raise RefusedError(f'a malformed {what}')
    return tuple(_expect(value, kind, what) for value, kind in zip(values, kinds))


def _read_history(state: Any) -> HistoryRecord:
    what = 'HistoryBuffer'
    _expect(state, dict, what)
    log, count = (
        _expect(_read_array(_expect(state.get(key), _NotedArray, what)).values, Tensor, what)
        for key in ('_log_history', '_count_history')
    )
    return HistoryRecord(log, count, _expect(state.get('max_length'), int, what))


def _read_array(noted: _NotedArray) -> ArrayRecord:
    kinds = (int, tuple, _NotedDtype, int, bytes)
    # The state of an array of Python objects holds a list in place of the bytes.
    _, shape, dtype, column_major, data = _expect_all(noted.state, kinds, 'numpy array of plain numbers')
    return _array_record(dtype, shape, data, column_major=bool(column_major), scalar=False)


def _array_record(
    noted: _NotedDtype, shape: tuple[int, ...], data: bytes, *, column_major: bool, scalar: bool
) -> ArrayRecord:
    dtype, swapped = _read_dtype(noted)
    if not all(type(size) is int and size >= 0 for size in shape):
        raise RefusedError('a numpy array of impossible shape')
    item_size = int(dtype[1:]) * (4 if dtype[0] == 'U' else 1)
    if len(data) != math.prod(shape) * item_size:
        raise RefusedError(f'a numpy array of {len(data)} bytes and shape {shape}')
    if dtype[0] == 'U':
        if len(shape) > 1:
            raise RefusedError('a numpy array of strings with more than one axis')
        strings = _strings(data, item_size, swapped)
        return ArrayRecord(strings if shape else strings[0], dtype, scalar)
    values = _numbers(dtype, data, swapped)
    values = values.reshape(shape[::-1]).permute(*range(len(shape))[::-1]) if column_major else values.reshape(shape)
    return ArrayRecord(values.contiguous(), dtype, scalar)


def _read_dtype(noted: _NotedDtype) -> tuple[str, bool]:
    """Return the type code without byte order, such as `f8`, and whether the bytes are in big-endian order."""
    code = noted.args[0] if noted.args else None
    if not isinstance(code, str) or not (code in NUMBER_TYPES or re.fullmatch(r'U[1-9]\d{0,5}', code)):
        raise RefusedError(f'numpy data of type {code!r:.20}')
    state = noted.state
    if state is None:
        return code, False
    # (version, byte order, subarray, names, fields, ...): plain numbers have none of the middle three.
    if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None) or state[1] not in '<>|=':
        raise RefusedError(f'numpy data of a compound type {code!r}')
    return code, state[1] == '>'


def _numbers(dtype: str, data: bytes, swapped: bool) -> Tensor:
    torch_dtype = NUMBER_TYPES[dtype]
    if not data:
        return torch.empty(0, dtype=torch_dtype)
    raw = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    if swapped:
        # Complex numbers swap each of their two halves.
        width = int(dtype[1:]) // (2 if dtype[0] == 'c' else 1)
        raw = raw.reshape(-1, width).flip(1).reshape(-1)
    return raw.view(torch_dtype)


def _strings(data: bytes, item_size: int, swapped: bool) -> list[str]:
    items = [data[start : start + item_size] for start in range(0, len(data), item_size)]
    return [item.decode('utf-32-be' if swapped else 'utf-32-le').rstrip('\0') for item in items]


def to_plain(tree: Any) -> Any:
    """Replace records by dicts of tensors, strings and numbers that `torch.load(weights_only=True)` opens."""
    return map_tree(tree, _plain_value)


def _plain_value(value: Any, path: str) -> Any:
    if isinstance(value, HistoryRecord | ArrayRecord):
        return {MARKER: type(value).__name__, **vars(value)}
    # Protocol 2 writes empty bytes as a call of `bytes`, which is not on torch's list; `bytearray` is.
    return bytearray() if type(value) is bytes and not value else value


def _from_plain(fields: dict[str, Any]) -> HistoryRecord | ArrayRecord:
    kinds: dict[str, tuple[type[HistoryRecord | ArrayRecord], dict[str, type | UnionType]]] = {
        'HistoryRecord': (HistoryRecord, {'log_history': Tensor, 'count_history': Tensor, 'max_length': int}),
        'ArrayRecord': (ArrayRecord, {'values': Tensor | list | str, 'dtype': str, 'scalar': bool}),
    }
    name = fields[MARKER]
    if name not in kinds:
        raise RefusedError(f'a record of unknown kind {name!r:.40}: written by a newer mmseq?')
    record, types = kinds[name]
    if fields.keys() - {MARKER} != types.keys() or not all(isinstance(fields[key], types[key]) for key in types):
        raise RefusedError(f'a malformed {name}')
    # `map_location` may have sent the values to another device together with the weights.
    return record(**{key: fields[key].cpu() if isinstance(fields[key], Tensor) else fields[key] for key in types})


def without_arrays(tree: Any) -> Any:
    """Replace array records by their tensors (lists for strings) and scalar records by Python numbers."""
    return map_tree(tree, _bare_array)


def _bare_array(value: Any, path: str) -> Any:
    if not isinstance(value, ArrayRecord):
        return value
    return value.values.item() if value.scalar and isinstance(value.values, Tensor) else value.values
