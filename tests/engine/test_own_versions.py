"""Our versions take the place of upstream's in any config."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmseq.config import load_config
from mmseq.engine.own_versions import evaluators, image_root, use_own_versions, use_upstream_names
from mmseq.engine.settings import ASKED, PROMISED, Settings, edit, save_predictions

SEG = 'configs/upernet_seq2d_nano_shapes.py'
DET = 'configs/mask_rcnn_seq2d_nano_shapes.py'


def _types(scope: str, evaluator: Any) -> list[str]:
    cfg = Config(dict(default_scope=scope, val_evaluator=evaluator, test_evaluator=evaluator))
    return [node['type'] for node in evaluators(use_own_versions(use_own_versions(cfg)))]


def test_every_way_to_name_a_metric() -> None:
    from mmdet.evaluation import CocoMetric
    from mmseg.evaluation import IoUMetric

    coco, iou = ['mmseq.CocoMetric'], ['mmseq.IoUMetric']
    assert _types('mmdet', dict(type='CocoMetric')) == coco
    assert _types('mmseg', dict(type='mmdet.CocoMetric')) == coco
    assert _types('mmengine', dict(type='CocoMetric', _scope_='mmdet')) == coco
    assert _types('mmdet', dict(type='mmdet.evaluation.metrics.CocoMetric')) == coco
    assert _types('mmdet', dict(type=CocoMetric)) == coco
    assert _types('mmseg', dict(type=IoUMetric)) == iou
    assert _types('mmseg', [dict(type='IoUMetric'), dict(type='IoUMetric', prefix='b')]) == iou * 2
    assert _types('mmdet', dict(metrics=[dict(type='CocoMetric'), dict(type='mmseg.IoUMetric')])) == coco + iou
    # not upstream's
    assert _types('mmdet', dict(type='CocoPanopticMetric')) == ['CocoPanopticMetric']
    assert _types('mine', dict(type='CocoMetric')) == ['CocoMetric']


def test_configs_without_data_to_evaluate() -> None:
    assert use_own_versions(Config(dict(model=dict(type='X')))).model.type == 'X'


def _edited(config: str, **asked: Any) -> Config:
    cfg = load_config(config, {}, 'work')
    return edit(cfg, (*ASKED, *PROMISED), Settings('evaluation', config, **asked))


@pytest.mark.parametrize('config', [SEG, DET])
def test_runs_build_them(config: str, tmp_path: Path) -> None:
    for evaluator in evaluators(_edited(config, out=str(tmp_path / 'out'))):
        assert evaluator.type.startswith('mmseq.')
        assert str(tmp_path / 'out') in str(evaluator)


def test_configs_that_runs_left_behind(tmp_path: Path) -> None:
    first = _edited(DET)
    first.dump(tmp_path / 'left.py')
    again = _edited(str(tmp_path / 'left.py'), out=str(tmp_path / 'out'))
    assert [one.type for one in evaluators(again)] == [one.type for one in evaluators(first)] == ['mmseq.CocoMetric']
    assert use_upstream_names(first).test_evaluator.type == 'mmdet.CocoMetric'


def test_augmentation_is_ours() -> None:
    assert _edited(SEG, tta=True).model.type == 'mmseq.SegTTAModel'
    assert evaluators(_edited(DET, tta=True))[0].metric == ['bbox']


def test_two_metrics_of_a_kind_write_two_files(tmp_path: Path) -> None:
    cfg = load_config(DET, {}, 'work')
    cfg.test_evaluator = [dict(type=kind, ann_file='a.json') for kind in ('CocoMetric', 'mmdet.CocoMetric')]
    save_predictions(cfg, Settings('evaluation', DET, out=str(tmp_path)))
    assert [Path(one.outfile_prefix).name for one in cfg.test_evaluator] == ['predictions', 'predictions_2']


def test_maps_asked_for_in_the_config_know_their_root() -> None:
    dataset = dict(type='BaseSegDataset', data_root='data', data_prefix=dict(img_path='images'))
    cfg = Config(
        dict(
            default_scope='mmseg',
            val_dataloader=dict(dataset=dataset),
            val_evaluator=dict(type='IoUMetric', output_dir='x'),
        )
    )
    assert use_own_versions(cfg).val_evaluator.image_root == str(Path('data/images').absolute())


def test_roots_of_several_data_sets() -> None:
    datasets = [dict(type='X', data_root='data', data_prefix=dict(img=f'{name}/images')) for name in ('a', 'b')]
    cfg = Config(dict(test_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=datasets))))
    assert image_root(cfg, 'test_dataloader') == str(Path('data').absolute())
    assert image_root(cfg, 'val_dataloader') == ''
