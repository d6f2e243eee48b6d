"""Run lengths are read as pycocotools reads them."""

import numpy as np
from pycocotools import mask as coco_mask

from mmseq.datasets.checks.rle import totals


def packed(mask: np.ndarray) -> str:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))['counts'].decode()


def test_all_pixels_are_counted() -> None:
    generator = np.random.default_rng(0)
    sizes = [(1, 1), (1, 7), (40, 3), (64, 64), (500, 700), (3000, 2000)]
    masks = [generator.random(size) < share for size in sizes for share in (0.001, 0.5, 0.999)]
    masks += [np.zeros((900, 900)), np.ones((900, 900))]
    assert totals([packed(mask) for mask in masks]).tolist() == [mask.size for mask in masks]


def test_what_is_no_run_lengths() -> None:
    good = packed(np.eye(50))
    # Another character, a torn end, a negative length, a number of too many characters, a character of two bytes.
    bad = ['!' + good, good + 'o', 'L', 'oooooooooo0', 'é' + good]
    mixed = [good]
    for text in bad:
        mixed += [text, good]
    assert totals(mixed).tolist() == [2500] + [-1, 2500] * len(bad)


def test_one_that_is_cut_covers_less() -> None:
    assert 0 < totals([packed(np.eye(50))[:20]])[0] < 2500
