"""Every number, weight and form of a head that depends on the classes."""

from typing import Any

import pytest
from mmengine.config import Config

from mmseq.engine.own.classes import set_classes


def of(model: dict[str, Any], count: int, scope: str = 'mmdet') -> Any:
    cfg = Config(dict(model=model, default_scope=scope))
    set_classes(cfg, count)
    return cfg.model


def test_numbers_and_weights_of_detectors() -> None:
    loss = dict(type='CrossEntropyLoss', class_weight=[2.0] * 80 + [0.1])
    model = of(
        dict(
            backbone=dict(type='ResNet', num_classes=1000),
            rpn_head=dict(type='RPNHead', num_classes=1),
            roi_head=dict(bbox_head=[dict(num_classes=80, loss_cls=loss)], mask_head=dict(type='FCNMaskHead')),
            panoptic_head=dict(num_things_classes=80, num_stuff_classes=0, loss_cls=dict(loss)),
        ),
        3,
    )
    assert (model.backbone.num_classes, model.rpn_head.num_classes) == (1000, 1)
    assert (model.roi_head.bbox_head[0].num_classes, model.roi_head.mask_head.num_classes) == (3, 3)
    assert model.roi_head.bbox_head[0].loss_cls.class_weight == [1.0, 1.0, 1.0, 0.1]
    assert (model.panoptic_head.num_things_classes, model.panoptic_head.num_stuff_classes) == (3, 0)
    sigmoid = of(dict(bbox_head=dict(num_classes=80, loss_cls=dict(use_sigmoid=True, class_weight=[2.0] * 80))), 3)
    assert sigmoid.bbox_head.loss_cls.class_weight == [1.0, 1.0, 1.0]


@pytest.mark.parametrize('count', [2, 5])
def test_a_head_with_one_map_for_two_classes(count: int) -> None:
    loss = dict(type='CrossEntropyLoss', use_sigmoid=True, class_weight=[0.5, 1.5])
    head = dict(type='FCNHead', num_classes=2, out_channels=1, threshold=0.3, loss_decode=[loss])
    found = of(dict(decode_head=head, auxiliary_head=[dict(head)]), count, 'mmseg').auxiliary_head[0]
    assert found.num_classes == count
    assert found.get('out_channels') == (1 if count == 2 else None)
    assert found.loss_decode[0].use_sigmoid is (count == 2)
    # They were of other classes.
    assert 'class_weight' not in found.loss_decode[0]
