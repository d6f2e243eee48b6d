"""Data sets of images with one class each, as a run reads them: packed arrays, and files through timm's augmentation.

A sample is ``dict(inputs=(side, side, 3) bytes, labels=number)``; ``mmseq.ClassificationPreprocessor`` takes batches of
them.
"""

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.dataset import BaseDataset
from PIL import ImageOps
from torch.utils.data import Dataset

from mmseq.datasets.classes.packing import read_packed
from mmseq.datasets.classes.sources import Part, read_classes
from mmseq.datasets.formats import open_image
from mmseq.errors import InputError
from mmseq.registry import DATASETS, TRANSFORMS

# Of a random crop, 4 : 3 at most, as in Inception's and every later recipe.
LOG_RATIO = math.log(4 / 3)


@DATASETS.register_module()
class PackedImages(Dataset[Any]):
    """A part of a packed data set (:mod:`mmseq.datasets.classes.packing`).

    Args:
        data_root: its folder.
        part: ``train`` or ``val``.
        image_size: side of the samples in pixels.
        scale: least and largest share of an image's area in a random crop; None takes images whole.
        flip: share of the images that are mirrored.
        jitter: most that brightness and contrast change, in parts of 1.

    Raises:
        InputError: the folder holds no such data.
    """

    def __init__(
        self,
        data_root: str,
        part: Part,
        image_size: int,
        scale: Sequence[float] | None = None,
        flip: float = 0.0,
        jitter: float = 0.0,
    ) -> None:
        found = read_packed(data_root)
        self.metainfo = dict(classes=list(found.names))
        self.image_size, self.scale, self.flip, self.jitter = image_size, scale, flip, jitter
        try:
            # Read page by page, and shared by all processes; as a plain array, whose items are quicker to get.
            self.pixels = np.asarray(np.load(Path(data_root) / f'{part}.npy', mmap_mode='r'))
            self.labels: list[int] = np.load(Path(data_root) / f'{part}_labels.npy').tolist()
        except (OSError, ValueError) as error:
            raise InputError(f'packed data {data_root}: {error}; remove the folder and pack again') from error

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, side = self.pixels[index], self.image_size
        if self.scale is not None:
            image = random_crop(image, *self.scale)
        if image.shape[:2] != (side, side):
            # Areas where it shrinks, so that nothing is left out between two pixels.
            way = cv2.INTER_AREA if min(image.shape[:2]) > side else cv2.INTER_LINEAR
            image = cv2.resize(image, (side, side), interpolation=way)
        if self.flip and random.random() < self.flip:
            image = image[:, ::-1]
        if self.jitter:
            image = cv2.LUT(image, jitter_table(self.jitter))
        # A copy, since what is mapped must not be written to.
        return dict(inputs=torch.from_numpy(image.copy()), labels=self.labels[index])


def random_crop(image: np.ndarray, least: float, most: float) -> np.ndarray:
    """A view of a random rectangle: its area by share, its shape between 3 : 4 and 4 : 3."""
    # Python's generator: a call of numpy's takes several times as long.
    height, width = image.shape[:2]
    area = height * width * random.uniform(least, most)
    ratio = math.exp(random.uniform(-LOG_RATIO, LOG_RATIO))
    h, w = min(round(math.sqrt(area / ratio)), height), min(round(math.sqrt(area * ratio)), width)
    h, w = max(h, 1), max(w, 1)
    top, left = random.randrange(height - h + 1), random.randrange(width - w + 1)
    return image[top : top + h, left : left + w]


def jitter_table(most: float) -> np.ndarray:
    """What becomes of each byte under a random contrast around the middle and a random brightness."""
    contrast, brightness = random.uniform(1 - most, 1 + most), random.uniform(1 - most, 1 + most)
    return np.clip((np.arange(256) - 127.5) * contrast + 127.5 * brightness, 0, 255).astype(np.uint8)


@DATASETS.register_module()
class ClassImages(BaseDataset):
    """A part of the images of a folder or a list (:mod:`mmseq.datasets.classes.sources`), decoded as they are read.

    Args:
        data_root: the folder or the list.
        part: ``train`` or ``val``.
        pipeline: transforms, the last of which gives the sample.
    """

    def __init__(self, data_root: str, part: Part, pipeline: Sequence[Any] = ()) -> None:
        self.found = read_classes(data_root)
        self.part = part
        super().__init__(metainfo=dict(classes=list(self.found.names)), pipeline=list(pipeline))
        del self.found

    def load_data_list(self) -> list[dict[str, Any]]:
        """A dict for each image."""
        images = self.found.part(self.part)
        return [dict(img_path=path, label=label) for path, label in zip(images.paths, images.labels)]


@TRANSFORMS.register_module()
class TimmAugment:
    """Decode a file and augment it as timm does (``timm.data.create_transform``).

    Args:
        image_size: side of the samples in pixels.
        training: augment; else the middle of the image.
        options: further arguments of ``create_transform``, as ``scale``, ``auto_augment`` or ``crop_pct``.

    Raises:
        InputError: timm is not installed.
    """

    def __init__(self, image_size: int, training: bool, **options: Any) -> None:
        try:
            from timm.data.transforms_factory import create_transform
        except ImportError as error:
            raise InputError(
                "timm is not installed, and its augmentation is asked for: pip install 'mmseq[timm]', or --pack FOLDER"
            ) from error
        # Bytes come out: normalising is the preprocessor's.
        self.transform = create_transform(image_size, is_training=training, use_prefetcher=True, **options)

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        with open_image(sample['img_path']) as image:
            pixels = self.transform(ImageOps.exif_transpose(image).convert('RGB'))
        return dict(inputs=torch.as_tensor(pixels).permute(1, 2, 0), labels=sample['label'])
