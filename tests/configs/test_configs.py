"""Every config loads, builds, and keeps the house rules."""

import ast
import re

import pytest
from mmengine.config import Config

from mmseq.backbones.base import Backbone
from mmseq.datasets.shapes import PALETTE, SEG_CLASSES, SEG_PALETTE, SHAPES_CLASSES
from mmseq.engine.preflight import check_class_counts, head_class_counts
from mmseq.model.shape import usual_shape
from tests.configs.leaves import CONFIGS, LEAVES, NAME, built, load

BASES = sorted((CONFIGS / '_base_').rglob('*.py'))
CLASSES = {
    'ade20k': 150,
    'coco': 80,
    'coco_panoptic': 133,
    'imagenet': 1000,
    'lvis': 1203,
    'coco_rem': 80,
    'pascal_context': 60,
    'pascal_context_59': 59,
    'voc12': 21,
    'voc12_aug': 21,
    'voc0712': 20,
}


LEAF = pytest.mark.parametrize('path', [pytest.param(path, id=path.stem) for path in LEAVES])


def test_there_are_configs():
    assert len(LEAVES) >= 80
    assert len(BASES) >= 40


@LEAF
def test_leaf(path):
    name = NAME.fullmatch(path.stem)
    assert name, f'{path.name} does not follow the grammar'
    cfg = load(path)
    text = str(cfg._cfg_dict)
    for dead in ('openmmlab.com', '/path/to', 'open-mmlab://', 'torchvision://'):
        assert dead not in text, f'{path.name} names {dead}'
    # They belong into the model; at the top they would be options without effect.
    assert not {'backbone', 'channels'} & cfg.keys()
    check_class_counts(cfg)
    counts = set(dict(head_class_counts(cfg.model, 'model')).values())
    shapes = len(SEG_CLASSES) if name['head'] == 'upernet' else len(SHAPES_CLASSES)
    # Eight classes of Cityscapes have instances.
    cityscapes = 8 if name['head'] == 'mask_rcnn' else 19
    assert counts == {cityscapes if name['dataset'] == 'cityscapes' else CLASSES.get(name['dataset'], shapes)}


def test_schedules_are_named_for_those_that_use_them():
    users = {}
    for path in LEAVES:
        for schedule in re.findall(r"_base_/schedules/(\w+)\.py'", path.read_text()):
            users.setdefault(schedule, []).append(NAME.fullmatch(path.stem))
    assert len(users) >= 8
    for schedule, names in users.items():
        heads, datasets = ({name[key] for name in names} for key in ('head', 'dataset'))
        # One head's own, or the data set's under any head; coco_panoptic is COCO too.
        own = any(schedule.startswith(f'{head}_') for head in heads) and len(heads) == 1
        shared = {dataset.partition('_')[0] for dataset in datasets} == {schedule.partition('_')[0]}
        assert own or shared, f'{schedule} is used by {sorted(heads)} on {sorted(datasets)}'


def channels_read(model):
    """What every reader of the backbone's levels expects of them: channels, and the levels they belong to."""
    readers = ['neck'] if model.get('neck') else ['decode_head', 'auxiliary_head', 'panoptic_head']
    for reader in (model[key] for key in readers if key in model):
        channels = reader.in_channels
        if isinstance(channels, int) and 'in_index' in reader:
            yield [channels], [reader.in_index]
        else:
            yield [channels] * 4 if isinstance(channels, int) else channels, None
        if 'c1_in_channels' in reader:
            yield [reader.c1_in_channels], [0]


def strides_stated(model):
    """The strides that heads have been told."""
    for key in ('rpn_head', 'bbox_head', 'panoptic_head', 'decode_head'):
        head = model.get(key) or {}
        generator = head.get('anchor_generator') or {}
        yield from (strides for strides in (generator.get('strides'), head.get('strides'), head.get('feature_strides')))
    for extractor in ('bbox_roi_extractor', 'mask_roi_extractor'):
        yield (model.get('roi_head') or {}).get(extractor, {}).get('featmap_strides')


@LEAF
def test_leaf_builds(path):
    cfg, backbone = load(path), built(path).backbone
    assert isinstance(backbone, Backbone)
    if cfg.model.type == 'mmseq.ImageClassifier':
        # A mean of the last map: nothing else reads the backbone.
        assert len(backbone.out_channels) == 1
        return
    preprocessor = cfg.model.data_preprocessor
    sizes = [preprocessor.get('size_divisor'), preprocessor.get('pad_size_divisor'), *preprocessor.get('size', ())]
    if cfg.default_scope == 'mmseg':
        sizes.append(preprocessor.test_cfg.size_divisor)
        # As upstream's: images that fall short of the crop, and all batches of them, are padded to it.
        stride, crop = max(backbone.out_strides), usual_shape(cfg)
        assert tuple(preprocessor.size) == tuple(-(-side // stride) * stride for side in crop)
        assert preprocessor.get('size_divisor') is None
    assert any(sizes)
    assert all(size % max(backbone.out_strides) == 0 for size in sizes if size)
    readers = list(channels_read(cfg.model))
    assert readers
    for channels, levels in readers:
        assert tuple(channels) == tuple(backbone.out_channels[i] for i in levels or range(len(backbone.out_channels)))
    for strides in filter(None, strides_stated(cfg.model)):
        known = len(backbone.out_strides)
        assert tuple(strides[:known]) == backbone.out_strides


@LEAF
def test_leaf_is_an_experiment_card(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text
    if not text.startswith('As '):
        assert all(word in text for word in ('Recipe:', 'Command:', 'Expected:')), path.name
        assert path.name in text
    code = [line for line in path.read_text().split('"""')[2].splitlines() if line.strip()]
    if '_nano_' not in path.stem:
        most = 7 if text.startswith('As ') else 15
        assert len(code) <= most, f'{path.name}: at most {most} lines, and {len(code)} here'


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
