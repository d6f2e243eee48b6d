"""Truth beside prediction, in both tasks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmseq.pictures.truth_and_prediction import CAPTION, GAP, draw_truth_and_prediction

CLASSES = ('cat', 'dog')
RED, BLUE = (255, 0, 0), (0, 0, 255)
PALETTE = np.array((RED, BLUE), np.uint8)
GREY = np.full((80, 100, 3), 128, np.uint8)
# Pictures this small are enlarged fourfold.
FACTOR = 4


def halves(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction of a picture, without captions."""
    assert picture.shape == (80 * FACTOR + CAPTION, 200 * FACTOR + GAP, 3)
    return picture[CAPTION:, : 100 * FACTOR].astype(int), picture[CAPTION:, 100 * FACTOR + GAP :].astype(int)


def amount(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    """Share of the pixels that have more of a colour than of the other one."""
    channel = colour.index(255)
    return float((picture[..., channel] - picture[..., 2 - channel] > 60).mean())


def test_a_segmented_picture() -> None:
    from mmseg.structures import SegDataSample

    sample = SegDataSample()
    truth = torch.zeros(1, 80, 100, dtype=torch.long)
    truth[..., 50:] = 1
    truth[:, :40] = 255
    sample.gt_sem_seg = PixelData(data=truth)
    sample.pred_sem_seg = PixelData(data=torch.zeros_like(truth))
    left, right = halves(draw_truth_and_prediction(GREY, sample, SimpleNamespace(), CLASSES, PALETTE, 0.3))
    assert amount(left, RED) == pytest.approx(0.25, abs=0.03)
    assert amount(left, BLUE) == pytest.approx(0.25, abs=0.03)
    # what is ignored is as it was
    assert np.abs(left[: 39 * FACTOR] - 128).max() == 0
    assert amount(right, RED) == pytest.approx(1, abs=0.03)


def test_a_picture_with_objects() -> None:
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks

    def mask(left: int) -> np.ndarray:
        found = np.zeros((80, 100), np.uint8)
        found[20:60, left : left + 20] = 1
        return found

    sample = DetDataSample()
    boxes = HorizontalBoxes(torch.tensor([[10.0, 20, 30, 60]]))
    sample.gt_instances = InstanceData(
        bboxes=boxes, labels=torch.tensor([0]), masks=BitmapMasks(mask(10)[None], 80, 100)
    )
    sample.ignored_instances = sample.gt_instances[:0]
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[60.0, 20, 80, 60], [10.0, 20, 30, 60]]),
        labels=torch.tensor([1, 0]),
        scores=torch.tensor([0.9, 0.2]),
        masks=torch.from_numpy(np.stack([mask(60), mask(10)])).bool(),
    )
    left, right = halves(draw_truth_and_prediction(GREY, sample, SimpleNamespace(), CLASSES, PALETTE, 0.3))
    assert amount(left, RED) == pytest.approx(0.1, abs=0.02)
    assert amount(left, BLUE) == 0
    # the cat has too low a score
    assert amount(right, BLUE) == pytest.approx(0.1, abs=0.03)
    assert amount(right, RED) == 0


def test_without_truth() -> None:
    from mmseg.structures import SegDataSample

    sample = SegDataSample()
    sample.pred_sem_seg = PixelData(data=torch.zeros(1, 80, 100, dtype=torch.long))
    picture = draw_truth_and_prediction(GREY, sample, SimpleNamespace(), CLASSES, PALETTE, 0.3)
    assert picture.shape == (80 * FACTOR + CAPTION, 100 * FACTOR, 3)
