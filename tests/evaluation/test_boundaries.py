"""Boundaries against plain implementations: one mask at a time, one detection at a time."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle
from scipy import ndimage

from mmseq.evaluation.boundaries import (
    BoundaryEval,
    areas,
    boundary_areas,
    boundary_of,
    boundary_width,
    ious,
    label_boundaries,
    trimap,
)

CLASSES = 3


def blobs(random: np.random.Generator, height: int, width: int, labels: int = CLASSES) -> np.ndarray:
    """Label maps with large areas."""
    smooth = [ndimage.gaussian_filter(random.normal(size=(height, width)), 3) for _ in range(labels)]
    return np.argmax(smooth, axis=0)


def plain_boundary(mask: np.ndarray, width: int) -> np.ndarray:
    """Step by step, with nothing around the image."""
    inner = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=0)
    return mask & ~inner


@pytest.mark.parametrize('width', [1, 2, 5])
def test_the_boundary_of_a_mask(width: int) -> None:
    random = np.random.default_rng(width)
    mask = blobs(random, 30, 41) == 1
    assert (boundary_of(mask, width) == plain_boundary(mask, width)).all()
    assert boundary_of(np.ones((20, 20), bool), width)[:width].all()


def test_the_width_is_a_share_of_the_diagonal() -> None:
    assert boundary_width(300, 400) == 10
    assert boundary_width(300, 400, 0.1) == 50
    assert boundary_width(8, 8) == 1


@pytest.mark.parametrize('width', [1, 3])
def test_boundaries_of_all_labels_at_once(width: int) -> None:
    labels = blobs(np.random.default_rng(0), 33, 25, 4) * 100
    expected = sum(plain_boundary(labels == value, width) for value in np.unique(labels))
    assert (label_boundaries(labels, width) == expected).all()


def test_boundary_iou_of_classes() -> None:
    random = np.random.default_rng(2)
    pairs = [(blobs(random, 40, 30, CLASSES + 1), blobs(random, 40, 30, CLASSES + 1)) for _ in range(3)]
    found = ious(sum(boundary_areas(one, two, CLASSES, 2) for one, two in pairs))
    for label in range(CLASSES):
        outlines = [[plain_boundary(labels == label, 2) for labels in pair] for pair in pairs]
        both = sum((one & two).sum() for one, two in outlines)
        either = sum((one | two).sum() for one, two in outlines)
        assert found[label] == pytest.approx(both / either, abs=1e-12)


def test_iou_of_a_class_that_is_nowhere_does_not_exist() -> None:
    found = ious(areas(np.array([0, 1, 1]), np.array([0, 0, 1]), 3))
    assert found[:2].tolist() == [0.5, 0.5]
    assert np.isnan(found[2])


@pytest.mark.parametrize('reach', [1, 2, 4])
def test_a_trimap_is_what_is_near_another_label(reach: int) -> None:
    labels = blobs(np.random.default_rng(3), 24, 31)
    ignored = np.zeros(labels.shape, bool)
    ignored[5:12, 8:20] = True
    found = trimap(labels, ignored, reach)
    for (row, column), value in np.ndenumerate(found):
        rows = slice(max(0, row - reach), row + reach + 1)
        columns = slice(max(0, column - reach), column + reach + 1)
        near = labels[rows, columns][~ignored[rows, columns]]
        assert value == (not ignored[row, column] and len(np.unique(near)) > 1)


def scene(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Truth in six images, and detections that are moved, doubled, missed and of wrong classes."""
    random = np.random.default_rng(seed)
    truth: dict[str, Any] = dict(
        images=[dict(id=i, height=50, width=60) for i in range(6)],
        categories=[dict(id=10 * k, name=str(k)) for k in range(1, CLASSES + 1)],
        annotations=[],
    )
    found = []
    for number in range(30):
        image, category = int(random.integers(6)), 10 * int(random.integers(1, CLASSES + 1))
        mask = np.zeros((50, 60), np.uint8)
        top, left, height, width = random.integers((0, 0, 6, 6), (30, 40, 30, 30))
        mask[top : top + height, left : left + width] = 1
        row = dict(image_id=image, category_id=category, segmentation=encode(mask), area=float(mask.sum()))
        truth['annotations'].append(row | dict(id=number + 1, iscrowd=0, bbox=[0, 0, 1, 1]))
        for _ in range(random.integers(3)):
            moved = np.roll(mask, random.integers(-1, 2, 2), (0, 1))
            other = category if random.random() < 0.8 else 10
            found.append(dict(image_id=image, category_id=other, segmentation=encode(moved), score=random.random()))
    return truth, found


def encode(mask: np.ndarray) -> dict[str, Any]:
    return rle.encode(np.asfortranarray(mask))


def overlap(one: dict[str, Any], two: dict[str, Any], ratio: float) -> float:
    """The smaller one of the two overlaps."""
    masks = [rle.decode(row['segmentation']).astype(bool) for row in (one, two)]
    outlines = [plain_boundary(mask, max(1, round(ratio * np.hypot(*mask.shape)))) for mask in masks]
    return min((one & two).sum() / (one | two).sum() for one, two in (masks, outlines))


def plain_ap(truth: dict[str, Any], found: list[dict[str, Any]], ratio: float) -> float:
    """Mean over classes and ten thresholds of the precision at 101 recalls, as COCO has it."""
    values = []
    for category in [row['id'] for row in truth['categories']]:
        objects = [row for row in truth['annotations'] if row['category_id'] == category]
        shown = sorted((row for row in found if row['category_id'] == category), key=lambda row: -row['score'])
        table = [[overlap(a, b, ratio) if a['image_id'] == b['image_id'] else 0 for b in objects] for a in shown]
        for threshold in np.arange(0.5, 1, 0.05):
            free, right = [True] * len(objects), []
            for row in table:
                open_ones = [value if is_free else -1 for value, is_free in zip(row, free)]
                best = int(np.argmax(open_ones))
                right.append(open_ones[best] >= threshold - 1e-10)
                free[best] &= not right[-1]
            hits = np.cumsum(right)
            precision = [max(hits[j] / (j + 1) for j in range(i, len(hits))) for i in range(len(hits))]
            recall = hits / len(objects)
            at = [next((p for p, r in zip(precision, recall) if r >= wanted), 0) for wanted in np.linspace(0, 1, 101)]
            values.append(np.mean(at))
    return float(np.mean(values))


@pytest.mark.parametrize('ratio', [0.05, 0.1])
def test_boundary_ap_equals_a_plain_implementation(ratio: float) -> None:
    from mmseq.evaluation.coco import Truth

    truth, found = scene(4)
    with contextlib.redirect_stdout(io.StringIO()):
        api = Truth(truth)
        evaluator = BoundaryEval(api, api.loadRes([dict(row) for row in found]), ratio)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    expected = plain_ap(truth, found, ratio)
    assert 0.05 < expected < 0.9
    assert evaluator.stats[0] == pytest.approx(expected, abs=1e-6)
