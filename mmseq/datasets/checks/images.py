"""Whether an image file is whole, and what its header says; by decoding it, or by its first and last bytes."""

import io
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmseq.datasets.formats import open_image
from mmseq.datasets.multispectral import SUFFIXES, read_channels
from mmseq.errors import InputError

# EXIF orientations that swap the sides; the loaders turn such pictures before anything else.
ORIENTATION_TAG, SIDEWAYS = 274, (5, 6, 7, 8)
PNG_HEAD, PNG_TAIL = b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'
JPEG_HEAD, JPEG_TAIL = b'\xff\xd8\xff', b'\xff\xd9'
# Where a PNG header holds the bits per channel, which PIL does not tell for colours.
PNG_DEPTH = 24
# What lies in the place of a large file in a clone without Git LFS.
POINTER = b'version https://git-lfs'
# What PIL's and OpenCV's readers raise over bytes that are not what they expect.
UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    cv2.error,
    struct.error,
    zlib.error,
)


class DamagedFileError(ValueError):
    """A file that cannot be used as an image.

    Attributes:
        kind: ``missing``, ``zero_bytes``, ``truncated``, ``undecodable`` or ``too_large``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Header:
    """What a file says of its picture: width and height as the loaders see them, and what is unusual about it."""

    width: int
    height: int
    turned: bool
    sixteen_bit: bool
    palette: bool


def decode(path: str, *, labels: bool = False, channels: bool | None = None) -> tuple[Header, np.ndarray | None]:
    """Decode a file as the loaders do: images by OpenCV, label maps by PIL.

    Args:
        path: the file.
        labels: whether it is a label map.
        channels: whether LoadMultispectralImage loads images; None: either loader will do.

    Returns:
        The header, and for label maps the values (H, W), or (H, W, channels) where the file has several; the indices
        of a palette stay as they are.

    Raises:
        DamagedFileError: it is missing, empty, truncated or no image.
    """
    raw = _read(path)
    if not labels and path.lower().endswith(SUFFIXES):
        return _other_header(path, raw, channels), None
    try:
        with open_image(io.BytesIO(raw)) as image:
            image.load()
            header = _header(image, raw, loaded=True)
            values = np.asarray(image) if labels else None
        if raw.startswith(PNG_HEAD) and PNG_TAIL not in raw:
            # PIL is content with the pixels, OpenCV refuses the file.
            raise OSError('image file is truncated: its end is missing')
        if not labels and _opencv(raw) is None:
            raise OSError('OpenCV cannot decode it')
    except Image.DecompressionBombError as error:
        if labels:
            raise DamagedFileError('too_large', f'{path}: {error}; cut it into tiles') from error
        return _opencv_header(path, raw), None
    except UNREADABLE as error:
        reason = re.sub(r'\s+', ' ', re.sub(r' ?<_io.BytesIO object at \w+>', '', str(error))) or type(error).__name__
        kind = 'truncated' if 'truncated' in reason else 'undecodable'
        raise DamagedFileError(
            kind, f'{path}: cannot be decoded ({reason}), truncated or no image; fetch it again'
        ) from error
    return header, values


def glance(path: str) -> Header | None:
    """What the header says of a file whose end is there; it is decoded only if a JPEG or PNG ends oddly.

    Returns:
        None for formats that PIL does not know and sizes that it refuses: whoever loads them has to say whether they
        are whole.

    Raises:
        DamagedFileError: it is missing, empty or truncated.
    """
    try:
        with open(path, 'rb') as file:
            head = file.read(PNG_DEPTH + 1)
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - len(PNG_TAIL)))
            tail = file.read()
            odd = (head.startswith(PNG_HEAD) and tail != PNG_TAIL) or (
                head.startswith(JPEG_HEAD) and tail[-2:] != JPEG_TAIL
            )
            if head and not odd:
                file.seek(0)
                with open_image(file) as image:
                    return _header(image, head, loaded=False)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        return None
    except UNREADABLE:
        # Decoding it finds the words for what is wrong.
        return decode(path)[0]
    return decode(path)[0]


def in_threads(work: Callable[[Any], Any], rows: Iterable[Any]) -> Iterator[Any]:
    """``work`` of every row in their order; reading and decoding leave the interpreter free for other threads."""
    rows, chunk = list(rows), 256
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(rows), chunk):
            yield from pool.map(work, rows[start : start + chunk])


def _read(path: str) -> bytes:
    try:
        with open(path, 'rb') as file:
            raw = file.read()
    except FileNotFoundError:
        raise DamagedFileError('missing', f'{path}: no such file; fetch it again') from None
    except OSError as error:
        raise DamagedFileError(
            'undecodable', f'{path}: cannot be read ({error.strerror}); correct its permissions or fetch it again'
        ) from error
    if not raw:
        raise DamagedFileError('zero_bytes', f'{path}: is empty (0 bytes); fetch it again')
    if raw.startswith(POINTER):
        raise DamagedFileError('undecodable', f'{path}: is a pointer of Git LFS instead of the file; run git lfs pull')
    return raw


def _opencv(raw: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)


def _opencv_header(path: str, raw: bytes) -> Header:
    """Of an image that PIL refuses; the end of a JPEG is looked at, since OpenCV takes a torn one."""
    image = _opencv(raw)
    if image is None or (raw.startswith(JPEG_HEAD) and JPEG_TAIL not in raw[-PNG_DEPTH:]):
        raise DamagedFileError('undecodable', f'{path}: OpenCV cannot decode it, torn or too large; fetch it again')
    return Header(image.shape[1], image.shape[0], turned=False, sixteen_bit=image.dtype != np.uint8, palette=False)


def _other_header(path: str, raw: bytes, channels: bool | None) -> Header:
    """Of a file for which there are two loaders, by suffix."""
    by_opencv = channels is False or (channels is None and _opencv(raw) is not None)
    return _opencv_header(path, raw) if by_opencv else _channels_header(path)


def _channels_header(path: str) -> Header:
    # Many channels and many bits are what such files are for: nothing unusual.
    try:
        height, width = read_channels(path).shape[:2]
    except InputError as error:
        raise DamagedFileError('undecodable', str(error)) from error
    return Header(width, height, turned=False, sixteen_bit=False, palette=False)


def _header(image: Image.Image, raw: bytes, loaded: bool) -> Header:
    # PIL would decode a whole PNG in search of EXIF data behind its pixels.
    known = loaded or image.format != 'PNG' or 'exif' in image.info
    orientation = image.getexif().get(ORIENTATION_TAG, 1) if known else 1
    width, height = image.size
    if orientation in SIDEWAYS:
        width, height = height, width
    deep = image.mode in ('I', 'F') or image.mode.startswith('I;16') or (raw[:8] == PNG_HEAD and raw[PNG_DEPTH] == 16)
    return Header(width, height, orientation not in (0, 1), deep, image.mode in ('P', 'PA'))
