"""Options that upstream's metric takes and that end it after inference are refused before."""

import json
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmseq.engine.metric_options import check_metric_options
from mmseq.errors import InputError
from tests.datasets.checks.coco_rows import annotations, images

BOXES = dict(roi_head=dict(bbox_head=dict()))
REFUSED = [
    (dict(iou_thrs=0.5), r'val_evaluator\.iou_thrs=0\.5'),
    (dict(iou_thrs=[0.5, 0.75]), 'leave iou_thrs out'),
    (dict(proposal_nums=[100]), 'give three'),
    (dict(proposal_nums=(1, 10)), r'proposal_nums=\(1, 10\)'),
    (dict(metric=('bbox', 'segm')), 'write a list'),
    (dict(metric=['bbox', 'segm']), 'has no mask_head'),
    (dict(metric='proposal_fast'), 'write proposal$'),
]


def check(model: dict[str, Any], **options: Any) -> None:
    cfg = Config(dict(default_scope='mmdet', model=model))
    # Values from a file stay tuples.
    cfg._cfg_dict['val_evaluator'] = dict(type='CocoMetric', **options)
    check_metric_options(cfg, ('train_dataloader', 'val_dataloader'))


@pytest.mark.parametrize('options, said', REFUSED)
def test_what_ends_an_evaluation(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        check(BOXES, **options)


@pytest.mark.parametrize('options, said', REFUSED[:4])
def test_upstream_ends_with_it(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    """The reason for the check above; drop a case once mmdet takes it."""
    import torch
    from mmdet.evaluation import CocoMetric

    (tmp_path / 'a.json').write_text(
        json.dumps(dict(images=images(1), annotations=annotations(1), categories=[dict(id=1, name='a')]))
    )
    metric = CocoMetric(ann_file=str(tmp_path / 'a.json'), **options)
    metric.dataset_meta = dict(classes=('a',))
    found = dict(bboxes=torch.tensor([[10.0, 5, 30, 25]]), scores=torch.ones(1), labels=torch.tensor([0]))
    metric.process({}, [dict(img_id=1, ori_shape=(80, 100), pred_instances=found)])
    with pytest.raises((TypeError, ValueError, IndexError)):
        metric.evaluate(1)


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(metric='bbox', proposal_nums=(1, 10, 100)),
        dict(metric='proposal_fast', format_only=True, outfile_prefix='x'),
        dict(format_only=True, proposal_nums=[1]),
        # As mmdet's configs of V3Det have it.
        dict(use_mp_eval=True, proposal_nums=[300]),
    ],
)
def test_what_goes_through(options: dict[str, Any]) -> None:
    check(BOXES, **options)
    check(dict(roi_head=dict(mask_head=dict(type='FCNMaskHead'))), metric=['bbox', 'segm'])
    check(dict(mask_head=dict()), metric='segm')
