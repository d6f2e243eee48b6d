"""Rows of images against cases computed by hand."""

import numpy as np
import pytest
import torch

from mmseq.evaluation.per_class import count_pairs
from mmseq.evaluation.per_image import DETECTION_COLUMNS, SEGMENTATION_COLUMNS, detection_rows, segmentation_row
from tests.evaluation.by_hand import Image, together

CLASSES = ('sky', 'road', 'tree', 'ghost')


def segmented(label: list[int], prediction: list[int]) -> dict:
    pairs = count_pairs(torch.tensor([prediction]), torch.tensor([label]), 4, 255).within(4)
    return dict(zip(SEGMENTATION_COLUMNS, segmentation_row('a.png', pairs, CLASSES), strict=True))


def test_a_segmented_image() -> None:
    row = segmented([0, 0, 0, 1, 1, 255], [0, 0, 1, 2, 2, 0])
    # sky 2/3, road 0/3, tree 0/2; the ghost does not occur
    assert row['score'] == pytest.approx(100 * (2 / 3) / 3)
    assert row['pixel_accuracy'] == pytest.approx(100 * 2 / 5)
    assert (row['pixels'], row['right_pixels'], row['true_classes'], row['predicted_classes']) == (5, 2, 2, 3)
    assert (row['most_confused'], row['most_confused_share']) == ('road as tree', pytest.approx(100 * 2 / 5))


def test_a_perfect_and_an_ignored_image() -> None:
    row = segmented([0, 1], [0, 1])
    assert (row['score'], row['pixel_accuracy'], row['most_confused']) == (100, 100, None)
    row = segmented([255, 255], [0, 1])
    assert (row['score'], row['pixel_accuracy'], row['pixels'], row['most_confused_share']) == (None, None, 0, None)


def detected(truth: list[int], classes: list[int], matched: list[int], ious: list[list[float]]) -> dict:
    image = Image(truth, np.linspace(1, 0.5, len(classes)).tolist(), classes, matched, ious, image_id=7)
    (row,) = detection_rows(['b.jpg'], together(image))
    return dict(zip(DETECTION_COLUMNS, row, strict=True))


def test_an_image_with_detections() -> None:
    row = detected([0, 1, 1], [0, 0, 0, 0], [0, -1, -1, -1], [[0.9, 0, 0], [0.8, 0, 0], [0, 0.7, 0], [0, 0, 0]])
    assert (row['image'], row['image_id']) == ('b.jpg', 7)
    assert (row['matches'], row['missed'], row['false']) == (1, 2, 3)
    assert row['score'] == pytest.approx(100 * 2 / (2 + 2 + 3))
    assert {kind: row[kind] for kind in ('Cls', 'Loc', 'Both', 'Dupe', 'Bkg')} == dict(
        Cls=1, Loc=0, Both=0, Dupe=1, Bkg=1
    )


def test_images_where_there_is_nothing() -> None:
    assert detected([], [], [], [])['score'] is None
    assert detected([], [0], [-1], [[]])['score'] == 0
    assert detected([0], [], [], [])['score'] == 0
