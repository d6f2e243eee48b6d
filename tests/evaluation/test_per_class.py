"""Values for each class from counts, against cases computed by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmseq.evaluation.per_class import average_precisions, count_pairs, sum_pairs


def test_pairs_outside_the_classes_do_not_count() -> None:
    label = torch.tensor([[0, 1, 7, 255, -1]])
    prediction = torch.tensor([[0, 9, 0, 0, 0]])
    assert sum_pairs([count_pairs(prediction, label, 2, 255).within(2)], 2).tolist() == [[1, 0], [0, 0]]
    # an ignore index that is a class index
    assert sum_pairs([count_pairs(prediction, label, 2, 0).within(2)], 2).tolist() == [[0, 0], [0, 0]]


def test_the_detection_limits_are_those_of_the_summary() -> None:
    params = SimpleNamespace(
        iouThrs=np.array([0.5]), maxDets=[1, 100, 1000], areaRngLbl=['all', 'small', 'medium', 'large']
    )
    precision = np.broadcast_to(np.array([0.1, 0.2, 0.3]), (1, 3, 1, 4, 3))
    values = average_precisions(precision, params)
    assert values['AP'] == [pytest.approx(0.2)]
    assert values['AP50'] == values['AP_s'] == [pytest.approx(0.3)]


def test_thresholds_that_were_not_evaluated_are_none() -> None:
    params = SimpleNamespace(
        iouThrs=np.array([0.5, 0.6]), maxDets=[100], areaRngLbl=['all', 'small', 'medium', 'large']
    )
    precision = np.full((2, 3, 1, 4, 1), -1.0)
    precision[0, :, 0, 0, 0] = (1.0, 1.0, 0.4)
    precision[1, :, 0, 0, 0] = (0.5, 0.1, 0.0)
    values = average_precisions(precision, params)
    assert values['AP'] == [pytest.approx(0.5)]
    assert values['AP50'] == [pytest.approx(0.8)]
    assert values['AP75'] == values['AP_s'] == [None]
