"""Images as the families' authors give them to their classifiers in an evaluation."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from mmseq.errors import InputError

USUAL_SIZE = 224
"""Pixels per side that the published figures are of."""
CROPS = {'sequencer2d': 0.875, 'vsequencer': 0.875, 'shiftvit': 0.875, 'vil': 1.0}
"""The share of the resized image that is cut out of its middle, by family."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Pixels:
    """How an image becomes what a classifier takes: resized bicubically, its middle cut out, normalised.

    Args:
        size: pixels per side of the square that is cut out.
        crop: the share that it is of the resized image's shorter side.
    """

    size: int
    crop: float

    def read(self, path: str) -> Tensor:
        """A file to (3, size, size).

        Raises:
            InputError: it is no image that can be read.
        """
        try:
            with Image.open(path) as file:
                image = file.convert('RGB')
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
            raise InputError(f'{path}: cannot be read as an image ({error}); remove or replace it') from error
        shorter = math.floor(self.size / self.crop)
        image = F.resize(image, [shorter], InterpolationMode.BICUBIC)
        return F.normalize(F.to_tensor(F.center_crop(image, [self.size])), MEAN, STD)

    def batches(self, paths: Sequence[str], count: int, threads: int) -> Iterator[Tensor]:
        """(B, 3, size, size) of ``count`` files each; the next batch is read while one is worked on."""
        waiting: list[Future[Tensor]] = []
        with ThreadPoolExecutor(threads) as pool:
            for first in range(0, len(paths), count):
                next_ones = [pool.submit(self.read, path) for path in paths[first : first + count]]
                if waiting:
                    yield stacked(waiting)
                waiting = next_ones
            yield stacked(waiting)


def stacked(images: Sequence[Future[Tensor]]) -> Tensor:
    """A batch."""
    return torch.stack([image.result() for image in images])
