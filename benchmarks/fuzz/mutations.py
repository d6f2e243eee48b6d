"""Damaged and hostile checkpoint files, made from sound ones; the same sound file and number make the same one again.

Each mutation takes the sound file and a generator, and writes one file. What it returns says what a reader may do with
it. ``SUMMED`` files carry a sum or digest that the change cannot meet: they must be refused or read as before. Of
``OPEN`` ones a reader cannot know: their own numbers may also come through. ``HOSTILE`` ones must be refused.
"""

import io
import json
import os
import pickle
import random
import struct
import types
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

SUMMED, OPEN, HOSTILE = 'summed', 'open', 'hostile'


@dataclass(frozen=True)
class Base:
    """A sound file.

    Attributes:
        name: for reports.
        path: the file.
        tensors: what it holds.
        summed: whether a flipped bit contradicts a sum or digest that the file carries.
    """

    name: str
    path: Path
    tensors: Mapping[str, Tensor]
    summed: bool


Mutation = Callable[[Base, random.Random, Path], str]


def flipped(base: Base, rng: random.Random, out: Path) -> str:
    """One to eight bits anywhere, or all of them near the front or the back, where the structure is."""
    data = bytearray(base.path.read_bytes())
    low, high = rng.choice([(0, len(data)), (0, min(2048, len(data))), (max(0, len(data) - 2048), len(data))])
    for _ in range(rng.choice([1, 1, 2, 8])):
        data[rng.randrange(low, high)] ^= 1 << rng.randrange(8)
    return _write(base, data, out)


def overwritten(base: Base, rng: random.Random, out: Path) -> str:
    """A run of zeros, ones or noise, as a bad sector leaves it."""
    data = bytearray(base.path.read_bytes())
    start, count = rng.randrange(len(data)), rng.choice([1, 16, 512, 4096])
    end = min(len(data), start + count)
    data[start:end] = rng.choice([bytes(end - start), b'\xff' * (end - start), rng.randbytes(end - start)])
    return _write(base, data, out)


def truncated(base: Base, rng: random.Random, out: Path) -> str:
    """Cut at the end, at the front, or with a piece missing or doubled in the middle."""
    data = bytearray(base.path.read_bytes())
    at, count = rng.randrange(len(data)), rng.randrange(1, 600)
    how = rng.randrange(4)
    if how == 0:
        del data[at:]
    elif how == 1:
        del data[:at]
    elif how == 2:
        del data[at : at + count]
    else:
        data[at:at] = data[at : at + count]
    return _write(base, data, out)


def _write(base: Base, data: bytes, out: Path) -> str:
    out.write_bytes(data)
    return SUMMED if base.summed else OPEN


def renamed(base: Base, rng: random.Random, out: Path) -> str:
    """A key gets another name, is left out, or comes twice under two names."""
    tensors = dict(base.tensors)
    key = rng.choice(list(tensors))
    how = rng.randrange(7)
    if how == 0:
        del tensors[key]
    elif how == 1:
        tensors[rng.choice(['extra', key + '_', key.upper(), '', 'stages.0.blocks.99999999.norm1.weight'])] = tensors[
            key
        ]
    elif how == 2:
        tensors[key.replace('.0.', '.00.', 1) + ('' if '.0.' in key else '.x')] = tensors.pop(key)
    elif how == 3:
        tensors['norms.' + key] = tensors.pop(key)
    elif how == 4:
        tensors[''.join(rng.sample(key, len(key)))] = tensors.pop(key)
    elif how == 5:
        tensors[key.replace('0', '1' * rng.choice([1, 5000]), 1)] = tensors.pop(key)
    else:
        tensors[rng.choice(['module.', 'stages.\u0663.', 'blocks.']) + key] = tensors.pop(key)
    return _save(tensors, rng, out)


def exchanged(base: Base, rng: random.Random, out: Path) -> str:
    """Two tensors change places; where their shapes agree, nobody can tell."""
    tensors = dict(base.tensors)
    a, b = rng.sample(list(tensors), 2)
    tensors[a], tensors[b] = tensors[b], tensors[a]
    return _save(tensors, rng, out)


def reshaped(base: Base, rng: random.Random, out: Path) -> str:
    """The same numbers in another shape, fewer of them, or more than there are."""
    tensors = dict(base.tensors)
    key = rng.choice(list(tensors))
    tensor = tensors[key]
    changes = [
        lambda: tensor.reshape(-1),
        lambda: tensor.reshape(1, *tensor.shape),
        lambda: tensor.reshape(*tensor.shape[::-1]),
        lambda: tensor.flatten()[:-1].clone(),
        lambda: tensor.new_zeros(0),
        lambda: tensor.flatten()[0].clone(),
        lambda: tensor.reshape(*tensor.shape, 1, 1),
        # Ten thousand million numbers out of one.
        lambda: tensor.flatten()[:1].expand(100_000, 100_000),
        lambda: tensor.new_ones(1).expand(tensor.shape),
    ]
    changed = rng.choice(changes)()
    tensors[key] = changed
    return _save(tensors, rng, out, zipped=True if changed.numel() > 10**9 else None)


def retyped(base: Base, rng: random.Random, out: Path) -> str:
    """Another kind of number in one tensor or in all, or no plain numbers at all."""
    tensors = dict(base.tensors)
    keys = [rng.choice(list(tensors))] if rng.random() < 0.7 else list(tensors)
    kinds = [torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.uint8, torch.bool, torch.complex64]
    special = ['sparse', 'meta', 'text', 'list', 'nan', 'inf', 'float8', 'quantized']
    kind = rng.choice([*kinds, *special])
    for key in keys:
        tensor = tensors[key]
        if isinstance(kind, torch.dtype):
            tensors[key] = tensor.to(kind)
        elif kind in ('nan', 'inf'):
            tensors[key] = tensor.clone()
            tensors[key].view(-1)[rng.randrange(tensor.numel())] = float(kind)
        else:
            tensors[key] = {
                'sparse': lambda t: t.to_sparse(),
                'meta': lambda t: t.to('meta'),
                'text': lambda t: 'weights',
                'list': lambda t: t.flatten()[:3].tolist(),
                'float8': lambda t: t.to(torch.float8_e4m3fn),
                'quantized': lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
            }[kind](tensor)
    return _save(tensors, rng, out, zipped=True if kind in special else None)


def rewrapped(base: Base, rng: random.Random, out: Path) -> str:
    """What is around the tensors is not as it should be."""
    tensors = dict(base.tensors)
    inner: dict = {'state_dict': tensors}
    for _ in range(100):
        inner = {'state_dict': inner}
    payload = rng.choice(
        [
            list(tensors.values()),
            {'state_dict': None, 'epoch': 3},
            {'state_dict': {'state_dict': tensors}},
            {'model': {'model': {'model': {}}}},
            {1: tensors},
            {**tensors, 7: torch.ones(2)},
            {'ema_state_dict': tensors},
            {'state_dict': {f'backbone.{key}': value for key, value in list(tensors.items())[:-1]}},
            {'state_dict': tensors, 'meta': {'tensors_sha256': '0' * 64}},
            {'state_dict': tensors, 'meta': ['tensors_sha256']},
            inner,
        ]
    )
    torch.save(payload, out.with_suffix('.pth'))
    return OPEN


def zip_surgery(base: Base, rng: random.Random, out: Path) -> str:
    """The zip file of torch.save with its entries changed, and all sums right."""
    buffer = io.BytesIO()
    torch.save(dict(base.tensors), buffer)
    out = out.with_suffix('.pth')
    with zipfile.ZipFile(buffer) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    at = rng.randrange(len(entries))
    name, data = entries[at]
    how = rng.randrange(9)
    if how == 0:
        del entries[at]
    elif how == 1:
        entries.append((name, rng.randbytes(len(data))))
    elif how == 2:
        entries[at] = (name, data[: rng.randrange(len(data) + 1)])
    elif how == 3:
        entries[at] = ('other/' + name.partition('/')[2], data)
    elif how == 4:
        other = rng.randrange(len(entries))
        entries[at], entries[other] = (name, entries[other][1]), (entries[other][0], data)
    elif how == 5:
        entries = [(n, b'big' if n.endswith('byteorder') else d) for n, d in entries]
    elif how == 6:
        entries = [(n, bytes(1 << 21) if n.endswith('data/0') else d) for n, d in entries]
    elif how == 7:
        entries.append(('../' * 3 + 'escaped', b'x'))
    rng.random() < 0.3 and rng.shuffle(entries)
    with zipfile.ZipFile(out, 'w', rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, archive.compression)
    return OPEN


def lying_header(base: Base, rng: random.Random, out: Path) -> str:
    """A safetensors file whose header tells other lengths, places, types or shapes than the file has."""
    out = out.with_suffix('.safetensors')
    data = safetensors.torch.save(dict(base.tensors))
    length = struct.unpack('<Q', data[:8])[0]
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    header.pop('__metadata__', None)
    a, b = rng.sample(list(header), 2)
    entry = header[a]
    how = rng.randrange(9)
    if how == 0:
        length = rng.choice([0, 1, length - 1, length + 1, 1 << 20, 1 << 40, (1 << 64) - 1])
        out.write_bytes(struct.pack('<Q', length) + data[8:])
        return OPEN
    if how == 1:
        entry['data_offsets'] = header[b]['data_offsets']
    elif how == 2:
        entry['data_offsets'] = [rng.randrange(1 << rng.choice([8, 40, 63])) for _ in range(2)]
    elif how == 3:
        entry['shape'] = rng.choice([[1 << 40], [1 << 32, 1 << 32], [-1], [], [1.5], 'x', entry['shape'][::-1]])
    elif how == 4:
        entry['dtype'] = rng.choice(['I32', 'U32', 'F16', 'F64', 'BF16', 'F33', 'C64', 7])
    elif how == 5:
        header['__metadata__'] = rng.choice([{'tensors_sha256': '0' * 64}, {'x': 1}, [], {'format': 'tf'}])
    elif how == 6:
        header[rng.choice(['', 'extra', '__metadata__'])] = entry
    elif how == 7:
        header[a], header[b] = header[b], header[a]
    text = json.dumps(header)
    if how == 8:
        # One name twice.
        text = text[:-1] + ', ' + json.dumps({a: header[b]})[1:]
    text = text.encode()
    out.write_bytes(struct.pack('<Q', len(text)) + text + body)
    return OPEN


class Calls:
    """Pickles as a call; the functions named write ``marker`` where anybody calls them."""

    def __init__(self, function: Callable, *args: object) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple:
        return self.call


def hostile(base: Base, rng: random.Random, out: Path) -> str:
    """A file of torch.save that calls something as it is unpickled."""
    marker = str(out.parent / 'code_was_run')
    script = f'open({marker!r}, "w").close()'
    call = rng.choice(
        [
            Calls(os.system, f'touch {marker}'),
            Calls(eval, script),
            Calls(exec, script),
            Calls(open, marker, 'w'),
            Calls(Path(marker).touch),
            Calls(getattr, 'x', 'format'),
            Calls(__import__, 'antigravity'),
            Calls(torch.save, {'x': 1}, marker),
            Calls(pickle.loads, pickle.dumps(Calls(os.system, f'touch {marker}'))),
        ]
    )
    key = rng.choice(list(base.tensors))
    payload = rng.choice(
        [
            {**base.tensors, key: call},
            {'state_dict': dict(base.tensors), 'meta': {'cfg': call}},
            {'model': dict(base.tensors), 'args': call},
            {'state_dict': dict(base.tensors), 'optimizer': [call]},
            call,
        ]
    )
    torch.save(payload, out.with_suffix('.pth'), _use_new_zipfile_serialization=rng.random() < 0.5)
    return HOSTILE


class Nested:
    """Pickles as tuples within one another, deeper than any pickler goes."""

    def __init__(self, depth: int) -> None:
        self.depth = depth


class Handwritten(pickle._Pickler):
    """Writes what no pickler would."""

    def save(self, obj: object, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Nested):
            self.write(b')' + b'\x85' * obj.depth)
        else:
            super().save(obj, save_persistent_id)


def greedy(base: Base, rng: random.Random, out: Path) -> str:
    """A small file that would fill the memory, crash the interpreter or show memory that nobody has written."""
    doubled: list | tuple = ['x' * 100]
    for _ in range(50):
        doubled = [doubled, doubled]
    pair: tuple = ('x',)
    for _ in range(50):
        pair = (pair, pair)
    few = next(iter(base.tensors.values())).flatten()[:1].clone()
    trap = rng.choice(
        [
            {'meta': {'dataset_meta': {'classes': doubled}}},
            {'meta': {Nested(100_000): 1}},
            {'meta': {'x': Nested(100_000)}},
            {'meta': {'x': [pair]}, 'k' * 100_000: 1},
            {'meta': Calls(bytearray, 1 << 44)},
            {'meta': Calls(torch.Tensor, 1000, 1000)},
            {'meta': Calls(torch._utils._rebuild_tensor_v2, few.storage(), 0, (1 << 20,), (1,), False, {})},
        ]
    )
    file = io.BytesIO()
    module = types.SimpleNamespace(Pickler=Handwritten, dump=pickle.dump, __name__='pickle')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.save(
            {'state_dict': dict(base.tensors), **trap},
            file,
            pickle_module=module,
            _use_new_zipfile_serialization=rng.random() < 0.5,
        )
    out.with_suffix('.pth').write_bytes(file.getvalue())
    return HOSTILE


def _save(tensors: dict, rng: random.Random, out: Path, zipped: bool | None = None) -> str:
    """Write changed tensors in one of the formats, as a sound file that happens to be wrong."""
    plain = all(isinstance(value, Tensor) and value.device.type == 'cpu' for value in tensors.values())
    kind = 'zip' if zipped or not plain else rng.choice(['zip', 'legacy', 'safetensors'])
    if kind == 'safetensors':
        safetensors.torch.save_file(
            {key: value.clone().contiguous() for key, value in tensors.items()}, out.with_suffix('.safetensors')
        )
    else:
        torch.save(tensors, out.with_suffix('.pth'), _use_new_zipfile_serialization=kind == 'zip')
    return OPEN


MUTATIONS: tuple[tuple[Mutation, int], ...] = (
    (flipped, 8),
    (overwritten, 3),
    (truncated, 3),
    (renamed, 3),
    (exchanged, 2),
    (reshaped, 3),
    (retyped, 3),
    (rewrapped, 1),
    (zip_surgery, 3),
    (lying_header, 3),
    (hostile, 3),
    (greedy, 3),
)
"""What is done to files, with how often."""
