"""Colour jitter as torchvision defines it, for pipelines whose recipe asks for it by name."""

from typing import Any

import numpy as np
from PIL import Image
from torchvision import transforms

from mmseq.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ColorJitter:
    """Change brightness, contrast, saturation and hue, in random order, of every image.

    Upstream's PhotoMetricDistortion is another thing: it adds brightness, and leaves out each part half of the time.

    Args:
        brightness: the factor is drawn from 1 - brightness to 1 + brightness; so are the next two.
        contrast: see brightness.
        saturation: see brightness.
        hue: the shift is drawn from -hue to hue, in turns of the colour circle, up to 0.5.
    """

    def __init__(
        self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0
    ) -> None:
        self.jitter = transforms.ColorJitter(brightness, contrast, saturation, hue)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``results['img']``, (H, W, 3) bytes in the order blue, green, red."""
        picture = self.jitter(Image.fromarray(np.ascontiguousarray(results['img'][..., ::-1])))
        results['img'] = np.ascontiguousarray(np.asarray(picture)[..., ::-1])
        return results

    def __repr__(self) -> str:
        return repr(self.jitter)
