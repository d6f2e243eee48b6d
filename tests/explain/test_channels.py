"""A neck or head that was made for another backbone is found before the first pass; what fits is let pass."""

from copy import deepcopy

import pytest
import torch
from mmengine.registry import DefaultScope

from mmseq.explain.channels import mismatch
from mmseq.registry import MODELS

OUT = (192, 384, 384, 384)


@pytest.mark.parametrize(
    'model,message',
    [
        (
            dict(neck=dict(type='FPN', in_channels=[256, 512, 1024, 2048])),
            'model.neck.in_channels=[256, 512, 1024, 2048]',
        ),
        (
            dict(neck=[dict(type='FPN', in_channels=[192, 384])]),
            'model.neck.0.in_channels=[192, 384], but the backbone',
        ),
        (
            dict(decode_head=dict(in_channels=384, in_index=0)),
            'model.decode_head.in_channels=384, but the backbone gives 192',
        ),
        (dict(decode_head=dict(in_channels=192)), 'gives 384; set it to that'),
        (
            dict(decode_head=dict(in_channels=[192, 384], in_index=[0, 4])),
            'in_index=[0, 4], but the backbone gives 4 levels',
        ),
        (
            dict(auxiliary_head=[dict(in_channels=384, in_index=2), dict(in_channels=1, in_index=1)]),
            'model.auxiliary_head.1',
        ),
    ],
)
def test_what_does_not_fit(model, message):
    assert message in mismatch(model, OUT)


@pytest.mark.parametrize(
    'model',
    [
        dict(neck=dict(type='FPN', in_channels=list(OUT)), decode_head=dict(in_channels=256)),
        dict(neck=dict(type='mmseq.SimplePyramid', in_channels=192)),
        dict(
            decode_head=dict(in_channels=list(OUT), in_index=[0, 1, 2, 3]),
            auxiliary_head=dict(in_channels=384, in_index=2),
        ),
        dict(decode_head=dict(in_channels=list(OUT))),
        dict(decode_head=None, bbox_head=dict(in_channels=1)),
        {},
    ],
)
def test_what_fits_or_cannot_be_known(model):
    assert mismatch(model, OUT) is None
    assert mismatch(model, ()) is None


def test_every_config_fits(configs):
    # Many configs share a backbone.
    channels = {}
    for name, cfg in configs.items():
        backbone = str(cfg.model.backbone)
        if backbone not in channels:
            with DefaultScope.overwrite_default_scope('mmengine'), torch.device('meta'):
                channels[backbone] = MODELS.build(deepcopy(cfg.model.backbone)).out_channels
        assert mismatch(cfg.model, channels[backbone]) is None, name
    assert len(configs) > 50
