"""Batches of bytes to normalised images, mixed and with holes where the recipe asks for that."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmseq.errors import InputError
from mmseq.registry import MODELS

# ImageNet's, in the bytes' scale; what every backbone here is trained on.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


@MODELS.register_module()
class ClassificationPreprocessor(BaseDataPreprocessor):
    """(B, H, W, 3) bytes and (B,) labels to (B, 3, H, W) images and labels, or their shares (B, K) where mixed.

    Mixing and erasing are timm's, drawn from the random stream of the iteration.

    Args:
        mean: per channel, red first, in the bytes' scale.
        std: the same.
        mixing: arguments of ``timm.data.Mixup`` in training; a classifier gives ``num_classes`` by itself. None mixes
            nothing.
        erasing: share of the training images in which a rectangle is replaced by noise.

    Raises:
        InputError: timm is not installed, and mixing or erasing is asked for; an odd number of images is to be mixed.
    """

    def __init__(
        self,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        mixing: Mapping[str, Any] | None = None,
        erasing: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer('scale', 1 / torch.tensor(std), False)
        self.register_buffer('shift', -torch.tensor(mean) / torch.tensor(std), False)
        self._mix: Any = None
        self._erase: Any = None
        if mixing or erasing:
            data = timm_data()
            self._mix = data.Mixup(**mixing) if mixing else None
            self._erase = data.random_erasing.RandomErasing(erasing, mode='pixel', device='cpu') if erasing else None

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Tensor]:
        """One batch."""
        data = self.cast_data(data)
        pixels, labels = data['inputs'].float(), data['labels']
        # Of a whole image, since torch is slow where it repeats three numbers.
        scale, shift = (each.expand(pixels.shape[1:]).contiguous() for each in (self.scale, self.shift))
        # A view, whose memory stays channels-last, as the backbones have it inside.
        images = torch.addcmul(shift, pixels, scale).permute(0, 3, 1, 2)
        if training and self._mix is not None:
            if len(images) % 2:
                raise InputError(
                    f'a batch of {len(images)} images: mixing takes pairs of them; set train_dataloader.batch_size to '
                    'an even number'
                )
            images, labels = self._mix(images, labels)
        if training and self._erase is not None:
            self._erase.device = images.device
            images = self._erase(images)
        return dict(inputs=images, labels=labels)


def timm_data() -> Any:
    """timm's module of data.

    Raises:
        InputError: timm is not installed.
    """
    try:
        import timm.data.random_erasing
    except ImportError as error:
        raise InputError(
            "timm is not installed, and its mixing or erasing is asked for: pip install 'mmseq[timm]', or leave out "
            'model.data_preprocessor.mixing and erasing'
        ) from error
    return timm.data
