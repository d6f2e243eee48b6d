"""Pickles as no pickler writes them, by hand, in both containers of torch.save."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

MARK, TUPLE1, TUPLE2, EMPTY = b'(', b'\x85', b'\x86', b')'
MAGIC = [0x1950A86A20F9469CFC6C, 1001, {'protocol_version': 1001, 'little_endian': True, 'type_sizes': {}}]


def text(value: str) -> bytes:
    return b'X' + struct.pack('<I', len(value.encode())) + value.encode()


def whole(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, 'little', signed=True)
    return b'\x8a' + bytes([len(data)]) + data


def several(*items: bytes) -> bytes:
    return MARK + b''.join(items) + b't'


def name(path: str) -> bytes:
    module, _, last = path.rpartition('.')
    return f'c{module}\n{last}\n'.encode()


def call(path: str, *arguments: bytes) -> bytes:
    return name(path) + several(*arguments) + b'R'


def storage(numel: int, key: str = '0') -> bytes:
    return several(text('storage'), name('torch.FloatStorage'), text(key), text('cpu'), whole(numel)) + b'Q'


def legacy_storage(numel: int, key: str = '0') -> bytes:
    return storage(numel, key)[:-2] + b'NtQ'


def tensor(inner: bytes, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> bytes:
    sides, steps = several(*map(whole, shape)), several(*map(whole, strides))
    hooks = call('collections.OrderedDict')
    return call('torch._utils._rebuild_tensor_v2', inner, whole(offset), sides, steps, b'\x89', hooks)


def entries(**values: bytes) -> bytes:
    """A dict."""
    return b'}' + b''.join(text(key) + value + b's' for key, value in values.items())


def write_zip(path: Path, value: bytes, data: bytes = b'', compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, 'w', compression) as archive:
        archive.writestr('a/data.pkl', b'\x80\x02' + value + b'.')
        archive.writestr('a/byteorder', b'little')
        archive.writestr('a/version', b'3\n')
        if data:
            archive.writestr('a/data/0', data)
    return path


def write_legacy(path: Path, value: bytes, filled: dict[str, bytes]) -> Path:
    file = io.BytesIO()
    for part in MAGIC:
        pickle.dump(part, file, protocol=2)
    file.write(b'\x80\x02' + value + b'.')
    pickle.dump(list(filled), file, protocol=2)
    for data in filled.values():
        file.write(struct.pack('<q', len(data) // 4) + data)
    path.write_bytes(file.getvalue())
    return path


WEIGHT = tensor(storage(4), (4,), (1,))
DEEP = EMPTY + TUPLE1 * 100_000
# A tuple of 2 ** 40 values in 80 bytes.
DOUBLED = text('a') + b''.join(b'q\1h\1' + TUPLE2 for _ in range(40))

TRAPS: dict[str, bytes] = {
    'a key of nested tuples': b'}' + DEEP + b'Ns',
    'a value of nested tuples': entries(x=DEEP),
    'a key of doubled tuples': b'}' + DOUBLED + b'Ns',
    'doubled tuples counted': call('collections.Counter', b']' + DOUBLED + b'a'),
    'a long key': b'}' + text('k' * 1_000_000) + b'Ns',
    'bytearray': entries(x=call('builtins.bytearray', whole(1 << 40))),
    'bytearray, small': entries(x=call('builtins.bytearray', whole(1 << 10))),
    "bytearray, Python 2's": entries(x=call('__builtin__.bytearray', whole(1 << 40))),
    'bytearray, as a new object': entries(x=name('builtins.bytearray') + several(whole(1 << 40)) + b'\x81'),
    'bytearray, as a tensor': entries(
        x=call(
            'torch._tensor._rebuild_from_type_v2',
            name('builtins.bytearray'),
            name('torch.Tensor'),
            several(whole(1 << 40)),
            b'}',
        )
    ),
    'torch.Tensor': entries(x=call('torch.Tensor', whole(1000))),
    'torch.Tensor, as a new object': entries(x=name('torch.Tensor') + several(whole(1000)) + b'\x81'),
    'torch.FloatTensor': entries(x=call('torch.FloatTensor', whole(1000))),
    'torch.storage.UntypedStorage': entries(x=call('torch.storage.UntypedStorage', whole(1000))),
    'a tensor of a tensor': entries(
        x=call(
            'torch._tensor._rebuild_from_type_v2',
            name('torch.Tensor'),
            name('torch.Tensor'),
            several(whole(1000)),
            b'}',
        )
    ),
    'a tensor beyond its storage': entries(x=tensor(storage(4), (1000,), (1,))),
    'a tensor that begins beyond': entries(x=tensor(storage(4), (4,), (1,), offset=1)),
    'strides beyond': entries(x=tensor(storage(4), (2, 2), (3, 1))),
    'an old tensor beyond': entries(
        x=name('torch.FloatTensor')
        + EMPTY
        + b'\x81'
        + several(storage(4), whole(0), several(whole(1000)), several(whole(1)))
        + b'b'
    ),
    'a tensor over another': entries(
        x=name('torch.FloatTensor')
        + EMPTY
        + b'\x81'
        + several(WEIGHT, whole(0), several(whole(1000)), several(whole(1)))
        + b'b'
    ),
    'a tensor over nothing': entries(x=tensor(call('torch.storage.UntypedStorage'), (1000,), (1,))),
    'one number many times': entries(x=tensor(storage(4), (100_000, 100_000), (0, 0))),
    'another encoding': entries(x=call('_codecs.encode', text('a' * 100), text('idna'))),
    'arguments in a list': entries(x=name('builtins.bytearray') + b']' + whole(1 << 40) + b'aR'),
    'a storage in two sizes': entries(x=WEIGHT, y=tensor(storage(8), (8,), (1,))),
    'a nested tensor': entries(x=call('torch._utils._rebuild_nested_tensor', WEIGHT, WEIGHT, WEIGHT, WEIGHT)),
    'many lists': b'(' + b']' * 200_000 + b'l',
}
"""Pickles that no reader should take, by what they do."""


def sound() -> bytes:
    """A pickle that is written the same way, and sound."""
    return entries(state_dict=entries(x=WEIGHT), shape=call('torch.Size', several(whole(2), whole(3))))
