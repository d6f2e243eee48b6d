"""Images of any number of channels and any type of number, as pictures for the eye."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ImageOps

from mmseq.datasets.formats import open_image
from mmseq.datasets.multispectral import SUFFIXES, read_channels


def displayable(image: np.ndarray, of_bytes: bool = True) -> np.ndarray:
    """(H, W, 3) bytes, red first, of what a pipeline gives.

    Args:
        image: (H, W) or (H, W, C); three channels of bytes, also as floats, come blue first as upstream loads them, and
            keep their values. All others are stretched.
        of_bytes: whether the pipeline's loader gives bytes; the channels of other loaders are in the file's order.
    """
    if image.ndim == 2:
        image = image[:, :, None]
    if of_bytes and image.shape[2] == 3 and _is_of_bytes(image):
        return np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8)[:, :, ::-1])
    return stretch(image)


def read_displayable(path: Path) -> np.ndarray:
    """(H, W, 3) bytes, red first, of any image file that a pipeline loads.

    Raises:
        InputError: a file of many channels cannot be read.
    """
    if path.suffix.lower() not in SUFFIXES:
        with open_image(path) as image:
            if not image.mode.startswith('I'):
                # The loader turns pictures as their EXIF data says, too.
                return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    return stretch(read_channels(path))


def stretch(image: np.ndarray, channels: Sequence[int] = (0, 1, 2)) -> np.ndarray:
    """(H, W, 3) bytes: three channels of (H, W, C), each from its 2nd to its 98th percentile."""
    image = image[:, :, [min(c, image.shape[2] - 1) for c in channels]].astype(np.float32)
    low, high = np.percentile(image, (2, 98), axis=(0, 1))
    shown = np.clip((image - low) / np.maximum(high - low, 1e-6), 0, 1) * 255
    return np.ascontiguousarray(shown, np.uint8)


def _is_of_bytes(image: np.ndarray) -> bool:
    if image.dtype == np.uint8:
        return True
    # Colour transforms give floats that leave the range a little; normalised values are small, 16 bits are large.
    return image.min() >= -1 and 1.5 < image.max() < 512
