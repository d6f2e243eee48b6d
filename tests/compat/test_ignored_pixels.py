"""Losses over pixels to ignore: a batch of nothing else, and class weights beside them."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import mmseq  # noqa: F401

IGNORED = 255


def scores(channels: int) -> Tensor:
    return torch.randn(2, channels, 6, 5, requires_grad=True)


def labels(channels: int) -> Tensor:
    found = torch.randint(0, max(channels, 2), (2, 6, 5))
    found[0, :2] = IGNORED
    return found


def build(**loss: Any) -> torch.nn.Module:
    from mmseg.registry import MODELS

    # Whatever scope another test has left.
    return MODELS.build(loss | dict(type=f'mmseg.{loss["type"]}'))


@pytest.mark.parametrize(
    'channels, loss',
    [
        (1, dict(type='CrossEntropyLoss', use_sigmoid=True)),
        (1, dict(type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True)),
        (1, dict(type='CrossEntropyLoss', use_sigmoid=True, class_weight=[2.0])),
        (3, dict(type='CrossEntropyLoss', use_sigmoid=True)),
        (3, dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0, 3.0])),
        (3, dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0, 3.0], avg_non_ignore=True)),
        (3, dict(type='LovaszLoss', reduction='none')),
        (3, dict(type='LovaszLoss', per_image=True)),
        (1, dict(type='LovaszLoss', loss_type='binary', reduction='none')),
    ],
)
def test_a_batch_of_ignored_pixels_has_no_loss(channels: int, loss: dict[str, Any]) -> None:
    pred = scores(channels)
    found = build(**loss)(pred, torch.full((2, 6, 5), IGNORED), weight=None, ignore_index=IGNORED)
    assert found.shape == ()
    assert found == 0
    found.backward()
    assert not pred.grad.any()
    # One labelled pixel is enough.
    one = torch.full((2, 6, 5), IGNORED)
    one[1, 2, 3] = 1
    assert build(**loss)(scores(channels), one, weight=None, ignore_index=IGNORED) > 0


def test_ohem_of_ignored_pixels_has_a_gradient_of_zero() -> None:
    pred = scores(3)
    build(type='OhemCrossEntropy')(pred, torch.full((2, 6, 5), IGNORED)).backward()
    assert not pred.grad.any()


def test_class_weights_beside_ignored_pixels() -> None:
    pred, label, weights = scores(3), labels(3), [1.0, 2.0, 5.0]
    loss = build(type='CrossEntropyLoss', class_weight=weights, avg_non_ignore=True)
    expected = F.cross_entropy(pred, label, torch.tensor(weights, dtype=pred.dtype), ignore_index=IGNORED)
    # Upstream adds 1.2e-7 to what it divides by.
    torch.testing.assert_close(loss(pred, label, ignore_index=IGNORED), expected, rtol=1e-6, atol=0)
    # Without avg_non_ignore ignored pixels count as they do without weights.
    plain = build(type='CrossEntropyLoss')(pred, label, ignore_index=IGNORED)
    ones = build(type='CrossEntropyLoss', class_weight=[1.0] * 3)(pred, label, ignore_index=IGNORED)
    torch.testing.assert_close(ones, plain)


def test_binary_cross_entropy_is_upstreams_where_there_are_labels() -> None:
    pred, label = scores(1), labels(1)
    found = build(type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True)(pred, label, ignore_index=IGNORED)
    labelled = label != IGNORED
    expected = F.binary_cross_entropy_with_logits(pred[:, 0][labelled], label[labelled].float())
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
