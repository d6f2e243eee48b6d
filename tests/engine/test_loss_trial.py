"""Losses that would fail at the first iteration are refused before training."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.registry import DefaultScope

from mmseq.cli import train
from mmseq.datasets.shapes import generate
from mmseq.engine.loss_trial import check_losses
from mmseq.errors import InputError
from mmseq.registry import MODELS

SEG = str(Path(__file__).parents[2] / 'configs' / 'upernet_seq2d_nano_shapes.py')
CE = 'CrossEntropyLoss'


def check(loss: Any, **head: Any) -> None:
    """A head of three classes with this loss, beside one without a fault."""
    common = dict(type='FCNHead', in_channels=4, channels=4, num_convs=0, concat_input=False, num_classes=3)
    with DefaultScope.overwrite_default_scope('mmseg'):
        heads = [MODELS.build(common | given) for given in ({}, dict(loss_decode=loss) | head)]
    model = torch.nn.Module()
    model.decode_head, model.auxiliary_head = heads[0], torch.nn.ModuleList(heads[1:])
    state = torch.get_rng_state()
    check_losses(model)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    'loss, head',
    [
        (dict(type=CE, class_weight=[1.0, 2.0, 3.0]), {}),
        (dict(type=CE, use_sigmoid=True), dict(num_classes=2, out_channels=1)),
        (dict(type=CE, use_sigmoid=True, class_weight=[2.0]), dict(num_classes=2, out_channels=1)),
        (dict(type=CE), dict(num_classes=7, sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=2))),
        ([dict(type=CE), dict(type='DiceLoss')], dict(num_classes=11)),
        (dict(type='LovaszLoss', per_image=True), dict(ignore_index=0)),
    ],
)
def test_losses_that_fit(loss: Any, head: dict[str, Any]) -> None:
    check(loss, **head)


@pytest.mark.parametrize(
    'loss, head, said',
    [
        (dict(type=CE, class_weight=[1.0, 2.0]), {}, r'auxiliary_head\.0\.loss_decode\.class_weight has 2 weights'),
        ([dict(type=CE), dict(type='TverskyLoss', class_weight=[1.0] * 4)], {}, r'loss_decode\.1\.class_weight has 4'),
        (dict(type='LovaszLoss', reduction='none', class_weight=[1.0] * 4), {}, 'has 4 weights, but the head gives 3'),
        (dict(type=CE, use_sigmoid=True, class_weight=[1.0] * 3), {}, 'columns of pixels'),
        # As many weights as a map has columns would fit it.
        (dict(type=CE, use_sigmoid=True, class_weight=[1.0] * 11), dict(num_classes=11), 'columns of pixels'),
        (dict(type=CE, use_sigmoid=True, class_weight=[1.0] * 2), dict(num_classes=2, out_channels=1), 'gives 1 maps'),
        (
            dict(type=CE, use_sigmoid=True),
            dict(num_classes=2, out_channels=1, sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=2)),
            'correct loss_decode or sampler',
        ),
        (dict(type='OhemCrossEntropy'), {}, 'its loss fails .TypeError'),
        (dict(type=CE), dict(num_classes=2, out_channels=1), 'its loss fails'),
        (dict(type='TverskyLoss'), dict(num_classes=2, out_channels=1), 'is 0 whatever it predicts'),
    ],
)
def test_losses_that_do_not_fit(loss: Any, head: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        check(loss, **head)


def test_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path / 'shapes', train=2, val=1, seed=0)
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path))
    option = 'model.decode_head.loss_decode.class_weight=[1,2]'
    with pytest.raises(InputError, match='has 2 weights, but the head gives 9 maps'):
        train.main([SEG, '--work-dir', str(tmp_path / 'out'), '--cfg-options', option])
