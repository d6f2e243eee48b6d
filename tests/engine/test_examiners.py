"""Each data set of a config is checked for the use that the config makes of it."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmseq.datasets.checks import Use
from mmseq.engine.examiners import check_places, examiner, keeps_eight_bits, use_of
from mmseq.errors import InputError
from mmseq.explain.work import Work

LOAD = dict(type='LoadAnnotations', with_bbox=True)


def use(dataset: dict[str, Any], loader: str = 'val_dataloader', metric: Any = None) -> Use:
    with DefaultScope.overwrite_default_scope('mmdet'):
        return use_of(dataset, loader, Config({loader.replace('_dataloader', '_evaluator'): metric, 'model': {}}))


def test_training() -> None:
    data = dict(
        pipeline=[dict(LOAD, with_mask=True, poly2mask=False)], filter_cfg=dict(min_size=32, filter_empty_gt=True)
    )
    assert use(data, 'train_dataloader') == Use(masks=True, polygons=True, min_size=32, filter_empty=True)
    # A data set in test mode is not filtered.
    assert not use(dict(data, test_mode=True), 'train_dataloader').trained


@pytest.mark.parametrize(
    'metric, expected',
    [
        (dict(type='CocoMetric', metric='bbox'), Use(trained=False, coco_metric=True)),
        (dict(type='CocoMetric', metric=['bbox', 'segm']), Use(trained=False, coco_metric=True, masks=True)),
        ([dict(type='mmdet.CocoMetric', metric=('segm',))], Use(trained=False, coco_metric=True, masks=True)),
        (dict(type='LVISMetric'), Use(trained=False)),
        (dict(type='VOCMetric'), Use(trained=False)),
        (dict(type='CocoMetric', format_only=True), Use(trained=False, labelled=False)),
        ([dict(type='CocoMetric', format_only=True), dict(type='CocoMetric')], Use(trained=False, coco_metric=True)),
    ],
)
def test_evaluation(metric: Any, expected: Use) -> None:
    assert use(dict(pipeline=[LOAD]), metric=metric) == expected


def test_a_segmentors_data_without_labels() -> None:
    load = dict(type='LoadImageFromFile')
    assert not use(dict(data_prefix=dict(img_path='images'), pipeline=[load])).labelled
    assert use(dict(data_prefix=dict(img_path='images'), pipeline=[load, LOAD])).labelled
    assert use(dict(data_prefix=dict(img_path='images', seg_map_path='labels'), pipeline=[load])).labelled


def test_loaders() -> None:
    assert use(dict(pipeline=[dict(type='mmseq.LoadMultispectralImage')])).channels
    assert not use(dict(pipeline=[dict(type='LoadImageFromFile')])).channels
    for scope, expected in (('mmseg', True), ('mmdet', False)):
        with DefaultScope.overwrite_default_scope(scope):
            assert keeps_eight_bits(dict(pipeline=[dict(type='LoadAnnotations')])) is expected


def test_a_data_set_without_a_scope_is_examined() -> None:
    """Upstream's own form, which was refused as a type of no registry."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        data, work = dict(type='CocoDataset', ann_file='none.json'), Work('training', '', Config(dict(model={})))
        check = examiner(data, 'train_dataloader', work, None)
        report = check(sample=1, progress=None)
    assert 'none.json: no such annotation file' in report.errors()[0].message


def test_an_empty_line_among_the_class_names_is_found_without_the_data(tmp_path: Path) -> None:
    path = tmp_path / 'names.txt'
    path.write_text('first\n\nsecond\n')
    dataset = dict(type='mmseg.BaseSegDataset', metainfo=dict(classes=str(path)))
    with pytest.raises(InputError, match=r'line 2 is empty'):
        check_places('train_dataloader.dataset', dataset, {})
