"""Further figures of segmentors, on maps that are small enough to count."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmseq.evaluation.of_labels import (
    KeptLabels,
    LabelBoundaries,
    LabelCalibration,
    LabelPlaces,
    LabelSizes,
    OfLabels,
    size_map,
)

CLASSES = ('sky', 'road')


def sample(prediction: np.ndarray, truth: np.ndarray, logits: torch.Tensor | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: dict(data=torch.from_numpy(labels)[None])
        for name, labels in (('pred_sem_seg', prediction), ('gt_sem_seg', truth))
    }
    return found if logits is None else found | dict(seg_logits=dict(data=logits))


def evaluated(metric: OfLabels, *samples: dict[str, Any]) -> dict[str, float]:
    metric.dataset_meta = dict(classes=CLASSES)
    for one in samples:
        metric.process({}, [one])
    return metric.evaluate(len(samples))


@pytest.fixture
def halves() -> np.ndarray:
    labels = np.zeros((40, 60), np.int64)
    labels[:, 30:] = 1
    return labels


def test_right_maps_are_right_in_every_way(halves: np.ndarray) -> None:
    halves[:3, :9] = 255
    other = halves.copy()
    # what is ignored may be anything
    other[:3, :9] = 1
    for metric in (LabelBoundaries(), LabelSizes(), LabelPlaces()):
        found = evaluated(metric, sample(other, halves), sample(halves, halves))
        assert found
        assert all(value == 100 for value in found.values()), found


def test_an_outline_that_is_moved_counts_in_boundaries_and_near_them(halves: np.ndarray) -> None:
    moved = np.roll(halves, 1, 1)
    moved[:, 0] = 0
    found = evaluated(metric := LabelBoundaries(trimaps=(1, 4)), sample(moved, halves))
    assert found['boundary/trimap_1_mIoU'] == pytest.approx(25)
    # 4 right columns and none wrong of one class, 3 right and 1 wrong of the other
    assert found['boundary/trimap_4_mIoU'] == pytest.approx(50 * (4 / 5 + 3 / 4))
    assert found['boundary/mIoU'] < np.mean(metric.details['IoU'])
    assert metric.details['trimaps'][0] == dict(pixels=1, mIoU=pytest.approx(25))


def test_sizes_are_those_of_connected_pixels() -> None:
    labels = np.zeros((200, 200), np.int64)
    labels[10:20, 10:20] = 1
    labels[60:100, 60:100] = 1
    sizes = size_map(labels, 2)
    assert (sizes[15, 15], sizes[70, 70], sizes[0, 0]) == (0, 1, 2)
    prediction = labels.copy()
    prediction[10:15, 10:20] = 0
    prediction[150:155, 150:160] = 1
    found = evaluated(metric := LabelSizes(), sample(prediction, labels))
    # of the small object half is found, and as many pixels are elsewhere in a small one
    assert metric.details['IoU']['small'][1] == pytest.approx(100 * 50 / 150)
    assert found['size/mIoU_small'] == pytest.approx(100 / 3)
    assert found['size/mIoU_medium'] == 100
    assert found['size/mIoU_large'] == pytest.approx(100 * (40000 - 1700 - 50) / (40000 - 1700 + 50))


def test_places_have_figures_of_their_own(halves: np.ndarray) -> None:
    prediction = halves.copy()
    prediction[:4] = 1 - prediction[:4]
    found = evaluated(metric := LabelPlaces(), sample(prediction, halves))
    accuracy = metric.details['accuracy']
    assert accuracy['bands'][:4] == [pytest.approx(100 * (1 - 240 / 736)), 100, 100, 100]
    assert found['place/inner_accuracy'] == 100
    assert accuracy['grid'][0] == pytest.approx(20)
    assert metric.details['mIoU']['grid'][-1] == 100
    assert sum(metric.details['weight']['bands']) == halves.size


def test_calibration_of_pixels(halves: np.ndarray) -> None:
    sure = torch.logit(torch.tensor(0.8)).item()
    logits = torch.stack([torch.zeros(40, 60), torch.full((40, 60), sure)])
    found = evaluated(LabelCalibration(bins=10), sample(np.ones_like(halves), halves, logits))
    assert found['calibration/pixel_ECE'] == pytest.approx(0.3, abs=1e-6)
    scores = torch.stack([torch.full((40, 60), 0.1), torch.full((40, 60), 0.4)])
    found = evaluated(LabelCalibration('scores', bins=10), sample(np.ones_like(halves), halves, scores))
    assert found['calibration/pixel_ECE'] == pytest.approx(0.3, abs=1e-6)
    one = torch.full((1, 40, 60), 0.2)
    found = evaluated(LabelCalibration(bins=10), sample(np.zeros_like(halves), halves, one))
    assert found['calibration/pixel_ECE'] == pytest.approx(0.3, abs=1e-6)


def test_maps_are_kept(halves: np.ndarray, tmp_path: Path) -> None:
    metric = KeptLabels(str(tmp_path))
    assert evaluated(metric, sample(halves, halves), sample(1 - halves, halves)) == {}
    assert (np.asarray(Image.open(tmp_path / '1.png')) == 1 - halves).all()
    assert metric.details == dict(images=2, classes=2)
