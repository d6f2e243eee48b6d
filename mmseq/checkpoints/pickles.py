"""What a pickle would build, found out without building it.

torch's restricted unpickler calls nothing of a file's choosing, but what it may call can fill the memory
(`bytearray(10**12)`), crash the interpreter (a key of a hundred thousand nested tuples) or show memory that nobody has
written (`torch.Tensor(1000)`, a tensor larger than its storage, a storage that the file does not fill). Here every
opcode that it knows is followed with stand-ins for values, before torch sees the file.
"""

import math
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import torch

from mmseq.checkpoints.records import RefusedError

# Ten times what a detector of 1500 tensors with optimiser and moving average needs.
MOST_OPCODES = 2_000_000
# In all; tuples count one per item with everything within, strings one per 16 characters.
MOST_KEYS = 10_000_000
LARGEST_KEY = 256
DEEPEST_TUPLE = 64
# Numbers of a tensor that stands for fewer in its storage.
MOST_REPEATED = 2**20
# Longer texts are known by their length alone.
_SHORT = 256
_MAGIC = 0x1950A86A20F9469CFC6C
_CODECS = frozenset(('latin1', 'latin-1', 'utf-8', 'utf8', 'ascii'))
# Of torch's names those that are called with arguments in genuine files; the others take none.
_CALLED = ('torch.Size', 'torch.device', 'torch.serialization._get_layout', 'torch.nn.parameter.Parameter')
_STORAGES = {name: dtype for dtype, name in torch.storage._dtype_to_storage_type_map().items()}
_REBUILD = 'torch._utils._rebuild_'
_OVER_STORAGES = frozenset(_REBUILD + name for name in ('tensor', 'tensor_v2', 'tensor_v3', 'qtensor'))
_NEVER = frozenset(_REBUILD + name for name in ('nested_tensor', 'wrapper_subclass'))
# What takes keys, or pairs of key and value, from its argument.
_HASHING = frozenset(('collections.OrderedDict', 'collections.Counter', 'builtins.set'))
# Bytes of a fixed number that follow an opcode, and how they are read.
_FIXED = {b'J': '<i', b'K': '<B', b'M': '<H', b'G': '>d'}
_CONSTANTS = {b'N': None, b'\x88': True, b'\x89': False}


@dataclass(frozen=True)
class _Name:
    """A class or function."""

    path: str


@dataclass(frozen=True)
class Storage:
    """What a tensor's numbers lie in: its key in the file and its number of bytes."""

    key: Any
    type: str
    numel: int

    @property
    def bytes(self) -> int:
        return self.numel * _item_size(self.type)


# Without a text of its own, which would be as long as what the tuple stands for.
@dataclass(frozen=True, eq=False, repr=False)
class _Tuple:
    items: list[Any]
    depth: int
    size: int


@dataclass(frozen=True)
class _Text:
    """A text or bytes that is too long to be a name."""

    length: int


_OTHER = object()
_TENSOR = object()
_MARK = object()


@dataclass
class Pickle:
    """What was found in a pickle.

    Attributes:
        value: what it stands for; numbers, short texts and lists as they are, the rest as stand-ins.
        storages: what tensors lie in, by key.
    """

    value: Any = None
    storages: dict[Any, Storage] = field(default_factory=dict)


def examine(file: BinaryIO) -> Pickle:
    """Follow one pickle, from where the file stands to behind its end.

    Raises:
        RefusedError: it would take more than any genuine file, or show memory that nobody has written.
        EOFError, LookupError, ValueError, struct.error: it is no pickle, or torn.
    """
    return _Examiner(file).run()


def examine_legacy(file: BinaryIO, size: int) -> None:
    """Follow the pickles of a file of torch.save before 1.6: what is built, then which storages are filled.

    Args:
        file: at its beginning.
        size: of the file, in bytes.

    Raises:
        RefusedError, EOFError, LookupError, ValueError, struct.error: as :func:`examine`; a storage is not filled, or
            larger than the file.
    """
    if examine(file).value != _MAGIC:
        # torch says what else it is.
        return
    examine(file), examine(file)
    found, filled = examine(file), examine(file).value
    if not isinstance(filled, list):
        raise RefusedError('no list of the storages that it fills')
    if sum(storage.bytes for storage in found.storages.values()) > size:
        raise RefusedError(f'tensors of more bytes than the {size} of the file')
    keys = {key for key in filled if isinstance(key, (str, int))}
    empty = [key for key in found.storages if key not in keys]
    if empty:
        raise RefusedError(f'{len(empty)} storages without numbers, such as {str(empty[0])[:40]!r}')


class _Examiner:
    """A pickle machine over stand-ins."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.found = Pickle()
        self.keys = 0

    def run(self) -> Pickle:
        for _ in range(MOST_OPCODES):
            code = self.file.read(1)
            if code == b'.':
                self.found.value = self.stack.pop()
                return self.found
            self.step(code)
        raise RefusedError(f'a pickle of more than {MOST_OPCODES} steps')

    def step(self, code: bytes) -> None:
        if code in _FIXED:
            self.stack.append(self.number(_FIXED[code]))
        elif code in _CONSTANTS:
            self.stack.append(_CONSTANTS[code])
        elif code in _STEPS:
            _STEPS[code](self)
        elif not code:
            raise EOFError('the pickle has no end')
        else:
            raise ValueError(f'unknown step {code!r} in the pickle')

    def bytes(self, count: int) -> bytes:
        data = self.file.read(count)
        if len(data) < count:
            raise EOFError('the pickle has no end')
        return data

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.bytes(struct.calcsize(form)))[0]

    def to_mark(self) -> list[Any]:
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _MARK:
                items = self.stack[at + 1 :]
                del self.stack[at:]
                return items
        raise IndexError('the pickle closes what it has not opened')

    def text(self, form: str) -> None:
        data = self.bytes(self.number(form))
        self.stack.append(data.decode('utf-8', 'surrogatepass') if len(data) <= _SHORT else _Text(len(data)))

    def whole(self) -> None:
        self.stack.append(int.from_bytes(self.bytes(self.number('<B')), 'little', signed=True))

    def name(self) -> None:
        lines = [self.file.readline(_SHORT) for _ in range(2)]
        if not all(line.endswith(b'\n') for line in lines):
            raise RefusedError('a name without an end')
        module, name = (line[:-1].decode() for line in lines)
        # As torch does, since files of Python 2 name its modules.
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        self.stack.append(_Name(f'{module}.{name}'))

    def tuple(self, items: list[Any]) -> None:
        depth = 1 + max((item.depth for item in items if isinstance(item, _Tuple)), default=0)
        if depth > DEEPEST_TUPLE:
            raise RefusedError(f'tuples nested more than {DEEPEST_TUPLE} deep')
        self.stack.append(_Tuple(items, depth, 1 + sum(map(_size, items))))

    def last(self, count: int) -> list[Any]:
        items = self.stack[-count:]
        if len(items) < count or _MARK in items:
            raise IndexError('the pickle takes what is not there')
        del self.stack[-count:]
        return items

    def put(self, form: str) -> None:
        self.memo[self.number(form)] = self.stack[-1]

    def get(self, form: str) -> None:
        self.stack.append(self.memo[self.number(form)])

    def append(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        self.hash(items[::2])

    def hash(self, keys: list[Any]) -> None:
        """Hashing a tuple visits all that is within, each time."""
        for key in keys:
            size = _size(key)
            if size > LARGEST_KEY:
                raise RefusedError(f'a key of {size} values or pieces of text')
            self.keys += size
        if self.keys > MOST_KEYS:
            raise RefusedError('keys of more than any genuine file')

    def persistent(self) -> None:
        (known,) = self.last(1)
        items = known.items if isinstance(known, _Tuple) else []
        if not items or items[0] != 'storage':
            # torch refuses it.
            self.stack.append(_OTHER)
            return
        kind, key, _, numel = items[1:5]
        if not isinstance(kind, _Name) or type(numel) is not int or numel < 0 or not isinstance(key, (str, int)):
            raise RefusedError('a malformed storage')
        storage = Storage(key, kind.path, numel)
        if self.found.storages.setdefault(key, storage) != storage:
            raise RefusedError(f'storage {key!r:.40} in two sizes')
        view = items[5] if len(items) > 5 else None
        self.stack.append(_view(storage, view) if view is not None else storage)

    def call(self) -> None:
        function, arguments = self.last(2)
        if not isinstance(arguments, _Tuple):
            raise RefusedError('a call without a tuple of arguments')
        if isinstance(function, _Name) and function.path in _HASHING:
            for argument in arguments.items:
                items = _items(argument)
                self.hash([inner for item in items for inner in _items(item) or [item]])
        self.stack.append(_called(function, arguments.items))

    def build(self) -> None:
        (state,) = self.last(1)
        items = state.items if isinstance(state, _Tuple) else [None]
        if isinstance(items[0], Storage):
            # The form of before 2017: storage, offset, shape, strides.
            _check_room(items)
        elif items[0] is _TENSOR:
            raise RefusedError('a tensor over another')


def _called(function: Any, arguments: list[Any]) -> Any:
    """What a call gives.

    Raises:
        RefusedError: no genuine file calls this, or not with these arguments.
    """
    path = function.path if isinstance(function, _Name) else ''
    if path == 'builtins.bytearray' and arguments and type(arguments[0]) is int:
        raise RefusedError(f'a call of bytearray({arguments[0]})')
    if path == '_codecs.encode' and len(arguments) > 1 and arguments[1] not in _CODECS:
        raise RefusedError(f'a call of _codecs.encode for {arguments[1]!r:.40}')
    if path == 'torch.Size' and arguments:
        return arguments[0]
    if path == 'torch._tensor._rebuild_from_type_v2':
        inner, given = arguments[0], arguments[2]
        if not (isinstance(inner, _Name) and inner.path.startswith(_REBUILD) and isinstance(given, _Tuple)):
            raise RefusedError(f'a call of {path} with anything but a tensor')
        return _called(inner, given.items)
    if path in _OVER_STORAGES:
        dtype = arguments[6] if path.endswith('_v3') else None
        _check_room(arguments, dtype.path if isinstance(dtype, _Name) else None)
    elif path in _NEVER or (path.startswith('torch.') and arguments and not path.startswith((_REBUILD, *_CALLED))):
        raise RefusedError(f'a call of {path}')
    return _TENSOR if path.startswith('torch.') else _OTHER


def _check_room(arguments: list[Any], dtype: str | None = None) -> None:
    """Refuse a tensor that reaches beyond its storage: torch enlarges it, with uninitialised memory.

    Args:
        arguments: a storage, an offset, a shape and strides.
        dtype: of the numbers, where it is not the storage's.
    """
    storage, offset, shape, strides = arguments[:4]
    sides, steps = _whole(shape), _whole(strides)
    if not isinstance(storage, Storage) or sides is None or steps is None or len(sides) != len(steps):
        raise RefusedError('a malformed tensor')
    if type(offset) is not int or offset < 0:
        raise RefusedError('a tensor that begins nowhere')
    item, numel = _item_size(dtype or storage.type), math.prod(sides)
    last = offset + 1 + sum((side - 1) * step for side, step in zip(sides, steps)) if numel else 0
    if last * item > storage.bytes:
        raise RefusedError(f'a tensor of shape {tuple(sides)!s:.60} in a storage of {storage.bytes} bytes')
    if numel * item > storage.bytes and numel > MOST_REPEATED:
        raise RefusedError(f'a tensor of shape {tuple(sides)!s:.60} that repeats the few numbers the file has for it')


def _whole(value: Any) -> list[int] | None:
    """The items of a tuple or torch.Size, if none of them is negative."""
    items = value.items if isinstance(value, _Tuple) else None
    return items if items is not None and all(type(item) is int and item >= 0 for item in items) else None


def _view(storage: Storage, view: Any) -> Storage:
    """A piece of a storage, as files before 1.0 have them."""
    key, offset, numel = view.items if isinstance(view, _Tuple) and len(view.items) == 3 else (None, None, None)
    if type(offset) is not int or type(numel) is not int or min(offset, numel) < 0 or offset + numel > storage.numel:
        raise RefusedError('a piece of a storage that reaches beyond it')
    return Storage(key, storage.type, numel)


def _item_size(path: str) -> int:
    """Bytes of one number of a storage class or dtype; 1 for what torch does not know either."""
    name = path.rpartition('.')[2]
    dtype = _STORAGES.get(name) or getattr(torch, name, None)
    return dtype.itemsize if isinstance(dtype, torch.dtype) else 1


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else value.items if isinstance(value, _Tuple) else []


def _size(value: Any) -> int:
    if isinstance(value, _Tuple):
        return value.size
    if isinstance(value, _Text):
        return 1 + value.length // 16
    return 1 + len(value) // 16 if isinstance(value, str) else 1


_STEPS: dict[bytes, Callable[[_Examiner], object]] = {
    b'\x80': lambda self: self.bytes(1),
    b'(': lambda self: self.stack.append(_MARK),
    b'c': _Examiner.name,
    b'X': lambda self: self.text('<I'),
    b'U': lambda self: self.text('<B'),
    b'\x8a': _Examiner.whole,
    b')': lambda self: self.tuple([]),
    b't': lambda self: self.tuple(self.to_mark()),
    b'\x85': lambda self: self.tuple(self.last(1)),
    b'\x86': lambda self: self.tuple(self.last(2)),
    b'\x87': lambda self: self.tuple(self.last(3)),
    b']': lambda self: self.stack.append([]),
    b'}': lambda self: self.stack.append(_OTHER),
    b'\x8f': lambda self: self.stack.append(_OTHER),
    b'a': lambda self: self.append(self.last(1)),
    b'e': lambda self: self.append(self.to_mark()),
    b's': lambda self: self.set_items(self.last(2)),
    b'u': lambda self: self.set_items(self.to_mark()),
    b'q': lambda self: self.put('<B'),
    b'r': lambda self: self.put('<I'),
    b'h': lambda self: self.get('<B'),
    b'j': lambda self: self.get('<I'),
    b'Q': _Examiner.persistent,
    b'R': _Examiner.call,
    b'\x81': _Examiner.call,
    b'b': _Examiner.build,
}
