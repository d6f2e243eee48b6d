"""Faults to plant in files, each with the kind under which it has to be found."""

import random
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image


def _cut(raw: bytes, draw: random.Random) -> bytes:
    return raw[: draw.randrange(20, len(raw) - 1)]


def _head(raw: bytes, draw: random.Random) -> bytes:
    """A bit of the signature turned over: no longer an image."""
    place = draw.randrange(3)
    return raw[:place] + bytes([raw[place] ^ (1 << draw.randrange(8))]) + raw[place + 1 :]


def _noise(raw: bytes, draw: random.Random) -> bytes:
    return bytes(draw.randrange(256) for _ in range(200))


# What is done to the bytes, and the kinds that are a right answer.
IMAGE_FAULTS: dict[str, tuple[Callable[[bytes, random.Random], bytes | None], set[str]]] = {
    'missing': (lambda raw, draw: None, {'missing'}),
    'zero_bytes': (lambda raw, draw: b'', {'zero_bytes'}),
    'truncated': (_cut, {'truncated', 'undecodable'}),
    'end_missing': (lambda raw, draw: raw[:-1], {'truncated', 'undecodable'}),
    'text': (lambda raw, draw: b'<html><body>404 not found</body></html>', {'undecodable'}),
    'signature': (_head, {'undecodable'}),
    'noise': (_noise, {'undecodable'}),
    'zeros': (lambda raw, draw: bytes(len(raw)), {'undecodable'}),
}


def plant(path: Path, fault: str, draw: random.Random) -> None:
    """Damage a file."""
    if fault == 'wrong_size':
        with Image.open(path) as image:
            image.resize((image.width + draw.randrange(1, 9), image.height), Image.Resampling.NEAREST).save(path)
        return
    changed = IMAGE_FAULTS[fault][0](path.read_bytes(), draw)
    path.unlink()
    if changed is not None:
        path.write_bytes(changed)


def flip_bits(raw: bytes, draw: random.Random) -> bytes:
    """Some bits turned over anywhere; whether that can be seen depends on where."""
    changed = bytearray(raw)
    for _ in range(draw.randrange(1, 20)):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def seed(*parts: object) -> random.Random:
    """A generator of its own for each case."""
    return random.Random(zlib.crc32(repr(parts).encode()))
