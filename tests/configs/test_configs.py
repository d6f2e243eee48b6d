"""Every config loads, builds, and keeps the house rules."""

import ast
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmseq.backbones.base import Backbone
from mmseq.datasets.shapes import PALETTE, SEG_CLASSES, SEG_PALETTE, SHAPES_CLASSES
from mmseq.engine import launch
from mmseq.engine.preflight import check_class_counts, head_class_counts
from mmseq.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
LEAVES = sorted(CONFIGS.glob('*.py'))
BASES = sorted((CONFIGS / '_base_').rglob('*.py'))
# {head}_{backbone}_{size}_{dataset}[_{schedule}]
NAME = re.compile(
    r'(?P<head>upernet|mask_rcnn)_(?P<backbone>seq2d|vsequencer|shiftvit|vil)_(?P<size>[a-z]+(?:_light)?)'
    r'_(?P<dataset>ade20k|coco|shapes)(?:_(?P<schedule>3x|authors))?'
)
CLASSES = {'ade20k': 150, 'coco': 80}


LEAF = pytest.mark.parametrize('path', [pytest.param(path, id=path.stem) for path in LEAVES])


def test_there_are_configs():
    assert len(LEAVES) >= 11
    assert len(BASES) >= 10


@LEAF
def test_leaf(path):
    name = NAME.fullmatch(path.stem)
    assert name, f'{path.name} does not follow the grammar'
    cfg = launch.load_config(str(path), {}, None, None, 'none')
    text = str(cfg._cfg_dict)
    for dead in ('openmmlab.com', '/path/to'):
        assert dead not in text, f'{path.name} names {dead}'
    check_class_counts(cfg)
    counts = set(dict(head_class_counts(cfg.model, 'model')).values())
    shapes = len(SEG_CLASSES) if name['head'] == 'upernet' else len(SHAPES_CLASSES)
    assert counts == {CLASSES.get(name['dataset'], shapes)}


@LEAF
def test_leaf_builds(path):
    cfg = launch.load_config(str(path), {}, None, None, 'none')
    # Only the structure counts here: building shares no weights with a download.
    cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'):
        model = MODELS.build(cfg.model)
    backbone = model.backbone
    assert isinstance(backbone, Backbone)
    divisor = cfg.model.data_preprocessor.get('size_divisor', cfg.model.data_preprocessor.get('pad_size_divisor'))
    assert divisor % max(backbone.out_strides) == 0
    if path.stem.startswith('mask_rcnn'):
        assert backbone.out_strides == (4, 8, 16, 32)
        assert tuple(model.neck.in_channels) == backbone.out_channels
        assert model.rpn_head.prior_generator.strides[:4] == [(s, s) for s in backbone.out_strides]
        assert tuple(cfg.model.roi_head.bbox_roi_extractor.featmap_strides) == backbone.out_strides
    else:
        assert cfg.model.data_preprocessor.test_cfg.size_divisor == divisor
        if not cfg.model.get('neck'):
            assert tuple(model.decode_head.in_channels) == backbone.out_channels


@LEAF
def test_leaf_is_an_experiment_card(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text
    if not text.startswith('As '):
        assert all(word in text for word in ('Recipe:', 'Command:', 'Expected:')), path.name
        assert path.name in text
    else:
        body = path.read_text().split('"""')[2].strip()
        statements = [line for line in body.splitlines() if line.strip()]
        assert len(statements) <= 5, f'{path.name}: a size variant is at most five lines'


@pytest.mark.parametrize('path', [pytest.param(p, id=str(p.relative_to(CONFIGS))) for p in BASES])
def test_base_has_a_docstring_and_names_no_machine(path):
    assert ast.get_docstring(ast.parse(path.read_text()))
    assert not re.search(r'/(home|root|work|mnt)/', path.read_text())


@pytest.mark.parametrize('base', sorted((CONFIGS / '_base_/datasets').glob('*.py')), ids=lambda path: path.stem)
def test_data_root_moves(monkeypatch, base):
    monkeypatch.setenv('MMSEQ_DATA', '/elsewhere')
    cfg = Config.fromfile(base)
    # mmdet's own bases keep their value at the top level, where nothing reads it.
    used = {key: value for key, value in cfg._cfg_dict.items() if 'dataloader' in key or 'evaluator' in key}
    assert "'data/" not in str(used)
    assert "'/elsewhere/" in str(used)


def test_shapes_configs_repeat_the_data_sets_classes():
    detector = Config.fromfile(CONFIGS / '_base_/datasets/shapes_instance.py').metainfo
    segmentor = Config.fromfile(CONFIGS / '_base_/datasets/shapes_seg.py').metainfo
    assert tuple(detector.classes) == SHAPES_CLASSES
    assert tuple(segmentor.classes) == SEG_CLASSES
    assert [tuple(c) for c in detector.palette] == list(PALETTE)
    assert [tuple(c) for c in segmentor.palette] == list(SEG_PALETTE)


@pytest.mark.parametrize('epochs,milestones,path', [(12, [8, 11], ''), (36, [27, 33], '_3x')])
def test_mask_rcnn_schedule_is_upstreams(epochs, milestones, path):
    ours = Config.fromfile(CONFIGS / f'mask_rcnn_seq2d_s_coco{path}.py')
    assert ours.train_cfg.max_epochs == epochs
    assert ours.param_scheduler[1].milestones == milestones
    assert ours.optim_wrapper.optimizer == dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05)
    assert ours.auto_scale_lr.base_batch_size == 16
