"""Receptive fields over their picture."""

from pathlib import Path

import numpy as np
from PIL import Image

from mmseq.pictures.fields import draw_field, draw_fields


def test_a_field_glows_where_it_is() -> None:
    seen = np.zeros((50, 50), np.float32)
    seen[10:15, 30:35] = 1
    shown = draw_field(np.full((100, 100, 3), 200, np.uint8), seen, (0.1, 0.9)).astype(int)
    assert shown[24, 65].sum() > 500
    # Elsewhere the picture, darkened; at the point a ring.
    assert shown[50, 20].tolist() == [90, 90, 90]
    assert shown[84:97, 4:17].max() > 200


def test_fields_stand_side_by_side_over_the_picture(tmp_path: Path) -> None:
    left, right = np.zeros((2, 50, 50), np.float32)
    left[:, :25] = right[:, 25:] = 1
    picture = np.full((100, 100, 3), 200, np.uint8)
    out = draw_fields(picture, {'left': (left, (0.25, 0.5)), 'right': (right, (0.75, 0.5))}, tmp_path / 'a.png')
    shown = np.asarray(Image.open(out).convert('RGB')).astype(int)
    height, width = shown.shape[:2]
    assert width > 1.7 * height
    # Where a field is, the picture glows, and is darkened beside it.
    bright = [shown[height // 2, round(share * width)].sum() > 400 for share in (0.15, 0.4, 0.65, 0.85)]
    assert bright == [True, False, False, True]
