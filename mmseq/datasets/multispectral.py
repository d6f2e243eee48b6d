"""Images of any number of channels and up to 16 bits or floats, through upstream's pipelines."""

import struct
import zlib
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from mmseq.errors import InputError, first_line
from mmseq.registry import TRANSFORMS

SUFFIXES = ('.npy', '.tif', '.tiff')
"""What PIL, and with it upstream's loader, does not read in full."""
# What numpy and tifffile raise over bytes that are not what they expect, and over more than fits into memory.
UNREADABLE = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def announced_size(path: str | Path) -> int | None:
    """How many numbers a .npy file or a TIFF holds, as its header says; None for other files.

    Raises:
        InputError: the header cannot be read.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        return None
    try:
        if suffix == '.npy':
            # Nothing is read but the header.
            return int(np.load(path, mmap_mode='r', allow_pickle=False).size)
        with _tifffile(path).TiffFile(path) as file:
            return int(file.series[0].size)
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(f'{path}: cannot be read ({first_line(error)}); write it again') from error


def _tifffile(path: str | Path) -> ModuleType:
    """The package that reads TIFF.

    Raises:
        InputError: it is not installed.
    """
    if not find_spec('tifffile'):
        raise InputError(f"{path}: TIFF needs the package tifffile: pip install 'mmseq[tiff]'")
    return import_module('tifffile')


def read_channels(path: str | Path) -> np.ndarray:
    """(H, W, C) as the file has them: .npy, TIFF, or whatever OpenCV reads, 16-bit PNG among it (red first).

    Raises:
        InputError: not readable, not of two or three axes, or a TIFF without the package that reads it.
    """
    suffix = Path(path).suffix.lower()
    try:
        if suffix == '.npy':
            image = np.load(path, allow_pickle=False)
        elif suffix in ('.tif', '.tiff'):
            image = _tifffile(path).imread(path)
        else:
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(f'{path}: cannot be read ({first_line(error)}); write it again') from error
    if image is None or image.ndim not in (2, 3):
        found = 'no image' if image is None else f'an array of shape {image.shape}'
        raise InputError(f'{path}: holds {found}; expected (height, width) or (height, width, channels)')
    if image.ndim == 2:
        return image[:, :, None]
    if suffix not in SUFFIXES and image.shape[2] in (3, 4):
        # OpenCV turns the first three around.
        image = image[:, :, [2, 1, 0, 3][: image.shape[2]]]
    if suffix in SUFFIXES and image.shape[0] < min(image.shape[1:]):
        # Bands are often written one after another.
        image = image.transpose(1, 2, 0)
    return image


@TRANSFORMS.register_module()
class LoadMultispectralImage:
    """Stands for upstream's LoadImageFromFile: ``results['img']`` becomes (H, W, C) float32.

    Normalises as well, since mmdet's data preprocessor takes one or three means only: leave ``mean``, ``std`` and
    ``bgr_to_rgb`` out there. Padding with 0 is then padding with the mean. Of upstream's augmentations resizing,
    cropping and flipping go on any channels; those of colours are for three channels of bytes.

    Args:
        channels: how many, so that a wrong file is named; None takes what comes.
        mean: of each channel, in the units of the files.
        std: of each channel.
        pick: the channels to keep, in this order, counted from 0; ``channels`` counts before, mean and std after.
    """

    def __init__(
        self,
        channels: int | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pick: Sequence[int] | None = None,
    ) -> None:
        if (mean is None) != (std is None) or (mean is not None and std is not None and len(mean) != len(std)):
            raise ValueError(f'mean={mean}, std={std}: expected both, of one length, or neither')
        if std is not None and min(std) <= 0:
            raise ValueError(f'std={std}: expected numbers above 0')
        self.channels = channels
        self.pick = list(pick) if pick is not None else None
        self.mean = None if mean is None else np.asarray(mean, np.float32)
        self.std = None if std is None else np.asarray(std, np.float32)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load ``results['img_path']``.

        Raises:
            InputError: not readable, or of another number of channels.
        """
        path = results['img_path']
        image = read_channels(path)
        if self.channels not in (None, image.shape[2]):
            raise InputError(f'{path}: has {image.shape[2]} channels, the config says {self.channels}')
        if self.pick is not None:
            if max(self.pick) >= image.shape[2]:
                raise InputError(f'{path}: has {image.shape[2]} channels, pick asks for number {max(self.pick)}')
            image = image[:, :, self.pick]
        image = image.astype(np.float32)
        if self.mean is not None and self.std is not None:
            if len(self.mean) != image.shape[2]:
                raise InputError(f'{path}: {image.shape[2]} channels, but mean and std have {len(self.mean)} numbers')
            image = (image - self.mean) / self.std
        results['img'] = np.ascontiguousarray(image)
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(channels={self.channels}, pick={self.pick}, mean={self.mean}, std={self.std})'
