"""A data card goes under any config of its task: ours and upstream's, of every head."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmseq.config import load_config, read_config
from mmseq.datasets.nesting import loader_datasets
from mmseq.datasets.own.card import read_card
from mmseq.engine.own.changes import OwnData
from mmseq.engine.preflight import check_config, check_datasets, head_class_counts
from mmseq.errors import InputError
from mmseq.explain.work import Work
from mmseq.nested import walk
from mmseq.registry import MODELS
from tests.configs import heads_table
from tests.configs.leaves import CONFIGS, SEMANTIC
from tests.configs.test_heads import small

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# One config per head.
HEADS = [(path, name) for path, name in heads_table.pairs() if name['backbone'] == 'seq2d']
UPSTREAM = {
    'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py': 'boxes',
    'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py': 'boxes',
    'mmdet::detr/detr_r50_8xb2-150e_coco.py': 'boxes',
    'mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py': 'instances',
    'mmdet::cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py': 'instances',
    'mmdet::rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py': 'instances',
    'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb2-40k_cityscapes-512x1024.py': 'semantic',
    'mmseg::ocrnet/ocrnet_hr18_4xb2-40k_cityscapes-512x1024.py': 'semantic',
    'mmseg::unet/unet-s5-d16_fcn_4xb4-ce-1.0-dice-3.0-40k_chase-db1-128x128.py': 'semantic',
    'mmseg::maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512.py': 'semantic',
    'mmseg::bisenetv1/bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024.py': 'semantic',
}


def read(path: str, card: Path, **asked: Any) -> Config:
    """A config with own data in it."""
    return load_config(path, {}, 'unused', OwnData(str(card), **asked))


def check_own(cfg: Config, path: Path) -> None:
    """Everything in a config is of the card: files, classes, heads, labels, metrics."""
    card = read_card(path)
    assert {count for _, count in head_class_counts(cfg.model, 'model')} == {len(card.classes)}
    for loader in LOADERS:
        for _, dataset in loader_datasets(cfg[loader], loader):
            assert tuple(dataset.metainfo.classes) == card.classes
            assert len({tuple(colour) for colour in dataset.metainfo.palette}) == len(card.classes)
            assert str(path.parent) in str(dataset.data_prefix)
    check_config(cfg, LOADERS)
    text = str(cfg._cfg_dict)
    assert 'data/coco' not in text
    assert 'data/shapes' not in text
    assert 'vertical' not in text


def card_for(name: Any) -> str:
    """The task of one of our configs, by its parsed name."""
    if name['dataset'] == 'ade20k':
        return 'semantic'
    return 'instances' if 'mask' in name['head'] else 'boxes'


@pytest.mark.parametrize('path,name', HEADS, ids=lambda value: getattr(value, 'stem', ''))
def test_every_head_trains_on_a_card_and_is_evaluated(
    path: Path, name: Any, cards: dict[str, Path], tmp_path: Path
) -> None:
    card = cards[card_for(name)]
    text = path.read_text().replace("'_base_/", f"'{CONFIGS}/_base_/")
    (tmp_path / path.name).write_text(text.replace(f'{name["backbone"]}_{name["size"]}.py', 'seq2d_nano.py'))
    if name['dataset'] == 'coco_panoptic':
        with pytest.raises(InputError, match='is panoptic'):
            read(str(tmp_path / path.name), card)
        return
    cfg = read(str(tmp_path / path.name), card, image_size=64)
    check_own(cfg, card)
    cfg.work_dir, backbone = str(tmp_path), cfg.model.pop('backbone')
    cfg = Config(small(cfg._cfg_dict))
    cfg.model.backbone = backbone
    check_datasets(Work('training', str(path), cfg), LOADERS)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
        model.init_weights()
        batch = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))
        losses = model.train().train_step(batch, build_optim_wrapper(model, cfg.optim_wrapper))
        assert losses['loss'].isfinite()
        loader = Runner.build_dataloader(cfg.val_dataloader, seed=0)
        evaluator = Evaluator([cfg.val_evaluator])
        evaluator.dataset_meta = loader.dataset.metainfo
        with torch.no_grad():
            for batch in loader:
                evaluator.process(data_samples=model.eval().val_step(batch), data_batch=batch)
        found = evaluator.evaluate(len(loader.dataset))
    # Heads that score every place say nothing at first.
    dense = name['head'] in ('retinanet', 'atss', 'gfl')
    assert cfg.default_hooks.checkpoint.save_best in found or (dense and not found)


@pytest.mark.parametrize('path', UPSTREAM)
def test_upstreams_configs_take_a_card(path: str, cards: dict[str, Path]) -> None:
    card = cards[UPSTREAM[path]]
    cfg = read(path, card)
    check_own(cfg, card)
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'):
        cfg.model.pop('pretrained', None)
        cfg.model.backbone.init_cfg = None
        MODELS.build(cfg.model)


def test_every_head_is_met() -> None:
    assert {name['head'] for _, name in HEADS} >= {*SEMANTIC, 'mask2former', 'faster_rcnn', 'dino'}
    assert len(HEADS) >= 15


@pytest.mark.parametrize('name', ['semantic', 'all_labels'])
def test_the_rule_for_label_0_is_one_everywhere(name: str, cards: dict[str, Path]) -> None:
    cfg = read('mmseq::upernet_seq2d_s_ade20k', cards[name])
    steps = [step for step in walk([cfg.train_dataloader, cfg.val_dataloader, cfg.tta_pipeline]) if 'type' in step]
    said = {step['reduce_zero_label'] for step in steps if 'LoadAnnotations' in step['type']}
    said |= {cfg[loader].dataset.reduce_zero_label for loader in LOADERS}
    assert said == {name == 'semantic'}


def test_own_values_of_pixels_to_ignore_go_everywhere(cards: dict[str, Path], tmp_path: Path) -> None:
    text = cards['all_labels'].read_text().replace('ignore_index: 255', 'ignore_index: 9')
    own = cards['all_labels'].parent / 'ignoring.yaml'
    own.write_text(text)
    for config in ('mmseq::upernet_seq2d_s_ade20k', 'mmseq::mask2former_seq2d_s_ade20k'):
        cfg = read(config, own)
        check_config(cfg, LOADERS)
        assert cfg.model.decode_head.ignore_index == cfg.val_evaluator.ignore_index == 9
        assert cfg.model.data_preprocessor.seg_pad_val == 9


@pytest.mark.parametrize(
    ('config', 'card', 'said'),
    [
        ('mask_rcnn_seq2d_s_coco', 'boxes', 'boxes; take mmseq::faster_rcnn_seq2d_s_coco, which detects boxes'),
        ('mask_rcnn_vil_nano_shapes', 'boxes', 'take mmseq::faster_rcnn_vil_nano_shapes'),
        ('mask2former_shiftvit_t_coco', 'boxes', 'take mmseq::faster_rcnn_shiftvit_t_coco'),
        ('upernet_seq2d_s_ade20k', 'instances', 'are boxes with masks; leave CONFIG out for one that does'),
        ('mask_rcnn_seq2d_s_coco', 'semantic', 'is trained on boxes with masks, and the data of'),
    ],
)
def test_data_of_another_task_are_refused(config: str, card: str, said: str, cards: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=said):
        read(f'mmseq::{config}', cards[card])


def test_masks_may_be_left_out(cards: dict[str, Path]) -> None:
    cfg = read('mmseq::faster_rcnn_seq2d_nano_shapes', cards['instances'])
    assert cfg.val_evaluator.metric == 'bbox'


def test_options_override_what_is_derived(cards: dict[str, Path]) -> None:
    own, options = OwnData(str(cards['boxes'])), {'train_dataloader.batch_size': 2, 'train_cfg.max_epochs': 40}
    cfg = read_config('mmseq::faster_rcnn_seq2d_s_coco', options, own)
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (40, 4)
    assert cfg.param_scheduler[-1].milestones == [27, 37]
    assert any('40 epochs of 2 iterations' in line for line in own.lines)
    cfg = read_config('mmseq::faster_rcnn_seq2d_s_coco', {'optim_wrapper.optimizer.lr': 0.5}, own)
    assert cfg.optim_wrapper.optimizer.lr == 0.5


def test_each_card_has_a_work_dir_of_its_own(cards: dict[str, Path]) -> None:
    cfg = read_config('mmseq::faster_rcnn_seq2d_nano_shapes', {}, OwnData(str(cards['boxes'])))
    assert cfg.work_dir == 'work_dirs/faster_rcnn_seq2d_nano_shapes_my_yard'


def test_a_classifier_takes_no_card(cards: dict[str, Path]) -> None:
    with pytest.raises(InputError, match='classifier_seq2d_s_imagenet: is a classifier, .* mmseq pretrain trains it'):
        read('mmseq::classifier_seq2d_s_imagenet', cards['boxes'])
