"""Calibration errors by hand, and against the loops of their definitions."""

import numpy as np
import pytest

from mmseq.evaluation.calibration import detection_error, reliability


def test_errors_by_hand() -> None:
    confidence = np.array([0.05, 0.15, 0.95, 0.95, 1.0])
    right = np.array([False, False, True, False, True])
    found = reliability(confidence, right, 10)
    assert found.count.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0, 3]
    # 1 of 0.05, 1 of 0.15, and 3 of which 2.9 is said and 2 are right
    assert found.expected_error() == pytest.approx((0.05 + 0.15 + 0.9) / 5)
    assert found.largest_error() == pytest.approx(0.3)
    assert found.records()['right'][-1] == pytest.approx(2 / 3)
    assert found.records()['confidence'][2] is None


def test_images_add_up() -> None:
    random = np.random.default_rng(0)
    confidence, right = random.random(500), random.random(500) < 0.4
    whole = reliability(confidence, right)
    parts = reliability(confidence[:200], right[:200]) + reliability(confidence[200:], right[200:])
    assert (parts.count == whole.count).all()
    assert parts.expected_error() == pytest.approx(whole.expected_error())


def test_nothing_has_no_error() -> None:
    nothing = reliability(np.zeros(0), np.zeros(0, bool))
    assert nothing.expected_error() is None
    assert nothing.largest_error() is None
    assert detection_error(np.zeros((0, 5)), np.zeros(0, bool)) is None


@pytest.mark.parametrize('least', [1, 8])
def test_detection_error_is_the_mean_gap_of_cells(least: int) -> None:
    random = np.random.default_rng(1)
    features, right = random.random((400, 3)), random.random(400) < 0.3
    features[0], features[1] = 1.0, 0.0
    cells: dict[tuple[int, ...], list[int]] = {}
    for i, row in enumerate(features):
        cells.setdefault(tuple(min(int(value * size), size - 1) for value, size in zip(row, (5, 3, 2))), []).append(i)
    kept = [some for some in cells.values() if len(some) >= least]
    gap = sum(len(some) * abs(features[some, 0].mean() - right[some].mean()) for some in kept)
    expected = gap / sum(map(len, kept))
    assert detection_error(features, right, (5, 3, 2), least) == pytest.approx(expected)
    if least > 1:
        assert len(kept) < len(cells)


def test_confidence_alone_is_the_expected_error() -> None:
    random = np.random.default_rng(2)
    confidence, right = random.random(300), random.random(300) < 0.5
    joint = detection_error(confidence[:, None], right, (20,), 1)
    assert joint == pytest.approx(reliability(confidence, right, 20).expected_error())
