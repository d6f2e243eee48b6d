"""Corrupted images in upstream's pipelines."""

import os
from typing import Any

import numpy as np

from mmseq.errors import InputError
from mmseq.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mmseq.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Corrupt:
    """Corrupt an image of bytes in three channels, blue first; stands behind the step that loads it.

    The result depends on the name of the image's file, the corruption, the severity and the seed alone.

    Args:
        name: one of ``mmseq.evaluation.corruptions.CORRUPTIONS``.
        severity: 1 to 5.
        seed: of all images.
    """

    def __init__(self, name: str, severity: int, seed: int = 0) -> None:
        if name not in CORRUPTIONS or severity not in SEVERITIES:
            raise ValueError(f'{name} of severity {severity}: expected one of {", ".join(CORRUPTIONS)} and 1 to 5')
        self.name, self.severity, self.seed = name, severity, seed

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``results['img']``.

        Raises:
            InputError: an image of other channels or numbers.
        """
        image, path = results['img'], results['img_path']
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(
                f'{path}: is loaded as {image.dtype} of shape {image.shape}; corruptions are defined for three '
                'channels of bytes: leave them out with --only'
            )
        red_first = np.ascontiguousarray(image[:, :, ::-1])
        found = corrupt(red_first, self.name, self.severity, os.path.basename(path), self.seed)
        results['img'] = np.ascontiguousarray(found[:, :, ::-1])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(name={self.name!r}, severity={self.severity}, seed={self.seed})'
