"""One image for a predictor: a file, an address of one, a PIL image, an array or a tensor."""

import os
import tempfile
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch

from mmseq.addresses import public
from mmseq.checkpoints.download import DownloadError, fetch_bytes
from mmseq.errors import InputError
from mmseq.predict.predictor import Predictor, Prepared

Image = str | os.PathLike[str] | PIL.Image.Image | np.ndarray | torch.Tensor
"""What :func:`read` takes."""
LARGEST = 1 << 27
"""Bytes of an image from the web."""


def read(image: Image, predictor: Predictor, name: str = '') -> Prepared:
    """An image as the predictor takes it.

    Args:
        image: what :class:`mmseq.api.TrainedModel` is called with.
        predictor: prepares it as the config's tests do.
        name: of what is no file, for messages.

    Raises:
        InputError: it cannot be read; it says which.
    """
    if isinstance(image, (str, os.PathLike)):
        path = os.fspath(image)
        if os.path.isdir(path):
            raise InputError(f"{path}: is a folder; give a list of its images, as Path({path!r}).glob('*.jpg')")
        return from_web(path, predictor) if '://' in path else predictor.prepare(os.path.expanduser(path))
    try:
        return predictor.prepare(array_of(image))
    except InputError as error:
        raise InputError(f'{name}: {error}' if name else str(error)) from error


def from_web(address: str, predictor: Predictor) -> Prepared:
    """An image at an https:// address, which is not kept.

    Raises:
        InputError: it cannot be had, is larger than ``LARGEST``, or cannot be read.
    """
    if not address.startswith('https://'):
        raise InputError(f'image {public(address)}: expected a file or an https:// address')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'image' + Path(public(address)).suffix)
        try:
            path.write_bytes(fetch_bytes(address, LARGEST))
            return predictor.prepare(str(path))
        except DownloadError as error:
            raise InputError(f'image {public(address)}: {error}') from error
        except InputError as error:
            raise InputError(str(error).replace(str(path), public(address))) from error


def array_of(image: PIL.Image.Image | np.ndarray | torch.Tensor) -> np.ndarray:
    """(H, W, 3) bytes, red first.

    Raises:
        InputError: it is of another kind.
    """
    if isinstance(image, PIL.Image.Image):
        # Turned as files are: cameras note which side is up.
        return np.asarray(PIL.ImageOps.exif_transpose(image).convert('RGB'))
    if isinstance(image, torch.Tensor):
        return array_of_tensor(image)
    if isinstance(image, np.ndarray):
        return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image
    raise InputError(
        f'{type(image).__name__}: an image is a file, an https:// address, a PIL image, an array (H, W, 3) or a tensor '
        '(3, H, W)'
    )


def array_of_tensor(image: torch.Tensor) -> np.ndarray:
    """(H, W, 3) bytes of a tensor (3, H, W) of bytes, or of floats from 0 to 1.

    Raises:
        InputError: it has another shape, or other values.
    """
    shape = tuple(image.shape)
    if image.ndim != 3 or shape[0] not in (1, 3):
        raise InputError(f'a tensor of shape {shape}: expected (3, H, W); of a batch give a list')
    if image.is_floating_point():
        low, high = float(image.min()), float(image.max())
        if not 0 <= low <= high <= 1:
            raise InputError(f'a tensor of floats from {low:.3g} to {high:.3g}: expected 0 to 1, not normalised')
        image = (image * 255).round().to(torch.uint8)
    array = image.detach().cpu().permute(1, 2, 0).numpy()
    return np.repeat(array, 3, axis=2) if shape[0] == 1 else array
