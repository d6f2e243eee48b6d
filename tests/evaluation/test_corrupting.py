"""Corruptions in a pipeline."""

from typing import Any

import numpy as np
import pytest

from mmseq.errors import InputError
from mmseq.evaluation.corrupting import Corrupt
from mmseq.evaluation.corruptions import corrupt


def loaded(image: np.ndarray) -> dict[str, Any]:
    return dict(img=image.copy(), img_path='folder/a.png')


def test_images_are_blue_first_and_named_by_their_file() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    found = Corrupt('snow', 2, seed=3)(loaded(image))['img']
    expected = corrupt(np.ascontiguousarray(image[:, :, ::-1]), 'snow', 2, 'a.png', 3)
    assert (found[:, :, ::-1] == expected).all()


def test_what_cannot_be_corrupted_is_named() -> None:
    with pytest.raises(ValueError, match='rain'):
        Corrupt('rain', 1)
    with pytest.raises(ValueError, match='severity 0'):
        Corrupt('fog', 0)
    with pytest.raises(InputError, match=r'a.png: is loaded as float32 .*--only'):
        Corrupt('fog', 1)(loaded(np.zeros((40, 40, 4), np.float32)))
