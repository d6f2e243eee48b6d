"""Top-1 and top-5 by hand, and scores that must not count as right."""

import pytest
import torch

from mmseq.classify.image_classifier import ranks
from mmseq.evaluation.top_k import TopK


def evaluated(logits, labels):
    metric = TopK()
    metric.process(None, [dict(rank=rank) for rank in ranks(torch.tensor(logits), torch.tensor(labels))])
    return metric.evaluate(len(labels))


def test_shares_in_percent():
    found = evaluated([[0.1, 0.9, 0.0, 0, 0, 0.5], [6.0, 5, 4, 3, 2, 1], [6.0, 5, 4, 3, 2, 1]], [1, 3, 5])
    assert found == dict(top1=pytest.approx(100 / 3), top5=pytest.approx(200 / 3))


@pytest.mark.parametrize('score', [0.0, float('nan'), float('inf')])
def test_equal_scores_and_no_numbers_are_not_right(score):
    assert evaluated([[score] * 6], [0]) == dict(top1=0.0, top5=0.0)
