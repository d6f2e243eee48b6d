"""Pipelines, wrappers and metrics of a config around own data."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmseq.config import read_config
from mmseq.datasets.own.card import read_card
from mmseq.engine.own.changes import OwnData
from mmseq.engine.own.data import keep_upright, metainfo, put_data


@pytest.mark.parametrize(
    ('step', 'prob', 'changed'),
    [
        (dict(prob=[0.3, 0.2], direction=['horizontal', 'vertical']), 0.3, True),
        (dict(prob=0.5, direction=['vertical', 'horizontal']), 0.25, True),
        (dict(prob=0.5, direction='vertical'), 0.0, True),
        (dict(prob=0.5), 0.5, False),
    ],
)
def test_images_are_not_turned_upside_down(step: dict[str, Any], prob: float, changed: bool) -> None:
    pipeline = [dict(type='RandomFlip', **step)]
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type='CocoDataset', pipeline=pipeline))))
    assert keep_upright(cfg) is changed
    found = cfg.train_dataloader.dataset.pipeline[0]
    assert found.prob == prob
    assert found.get('direction', 'horizontal') == 'horizontal'


def test_wrappers_that_repeat_go_and_those_that_mix_stay(cards: dict[str, Path]) -> None:
    card, cfg = read_card(cards['boxes']), read_config('mmseq::faster_rcnn_seq2d_s_coco', {})
    inner = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=8, dataset=dict(inner))
    put_data(cfg, card)
    assert (cfg.train_dataloader.dataset.type, cfg.train_dataloader.dataset.pipeline) == ('CocoDataset', inner.pipeline)
    mixed = read_config('mmdet::yolox/yolox_tiny_8xb8-300e_coco.py', {}, OwnData(str(cards['boxes'])))
    assert mixed.train_dataloader.dataset.type == 'MultiImageMixDataset'
    assert mixed.train_dataloader.dataset.dataset.ann_file == str(card.train.labels)


def test_a_part_for_final_figures_is_what_is_tested(cards: dict[str, Path]) -> None:
    card = cards['boxes'].parent / 'tested.yaml'
    text = cards['boxes'].read_text()
    card.write_text(text + text[text.index('train:') : text.index('val:')].replace('train:', 'test:'))
    cfg = read_config('mmseq::faster_rcnn_seq2d_s_coco', {}, OwnData(str(card)))
    labels = [read_card(card).parts[name].labels for name in ('val', 'test')]
    assert [cfg.val_evaluator.ann_file, cfg.test_evaluator.ann_file] == list(map(str, labels))
    assert cfg.test_dataloader.dataset.ann_file == str(labels[1])
    plain = read_config('mmseq::faster_rcnn_seq2d_s_coco', {}, OwnData(str(cards['boxes'])))
    assert plain.test_evaluator == plain.val_evaluator


def test_measures_that_a_config_asks_for_stay(cards: dict[str, Path]) -> None:
    path = 'mmseg::unet/unet-s5-d16_fcn_4xb4-ce-1.0-dice-3.0-40k_chase-db1-128x128.py'
    assert read_config(path, {}, OwnData(str(cards['semantic']))).val_evaluator.iou_metrics == ['mIoU', 'mDice']


def test_a_config_without_validation_gets_one(cards: dict[str, Path]) -> None:
    cfg = read_config('mmseq::upernet_seq2d_s_ade20k', {})
    for name in ('val', 'test'):
        for key in ('dataloader', 'evaluator', 'cfg'):
            cfg.pop(f'{name}_{key}')
    put_data(cfg, read_card(cards['semantic']))
    assert (cfg.val_cfg.type, cfg.test_cfg.type, cfg.val_evaluator.type) == ('ValLoop', 'TestLoop', 'IoUMetric')
    assert not cfg.val_dataloader.sampler.shuffle


def test_colours_can_be_told_apart_and_backgrounds_are_grey(cards: dict[str, Path]) -> None:
    found = metainfo(read_card(cards['all_labels']))
    assert found['palette'][:2] == [[60, 60, 66], [110, 110, 116]]
    colours = found['palette']
    distances = [sum(abs(a - b) for a, b in zip(x, y)) for i, x in enumerate(colours) for y in colours[:i]]
    assert min(distances) > 40
