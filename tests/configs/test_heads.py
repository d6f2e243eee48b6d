"""Every head with every family: one training step and one prediction on the embedded data, through the leaf's own file.

A leaf is taken word by word, but for the size: the nano backbone in the place of the large one, pictures, queries,
proposals and layers cut down. Data, pipeline, losses, optimizer and learning-rate rules are the leaf's.
"""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmseq.config import load_config
from mmseq.datasets.shapes import SEG_CLASSES, SHAPES_CLASSES, generate
from mmseq.datasets.shapes_panoptic import write_panoptic
from mmseq.engine import launch
from mmseq.engine.preflight import check_class_counts, check_datasets
from mmseq.engine.settings import Settings
from mmseq.engine.terminal import Terminal
from mmseq.explain.work import Work
from mmseq.nested import walk
from mmseq.registry import MODELS
from tests.configs import heads_table
from tests.configs.leaves import CONFIGS, NAME, SEMANTIC

# What a head may have of these, so that a step takes a second.
CAPS = {
    'num_layers': 1,
    'num_queries': 20,
    'num_dn_queries': 10,
    'num_points': 64,
    'nms_pre': 50,
    'max_per_img': 20,
    'max_per_image': 20,
    'fc_out_channels': 32,
    'channels': 32,
    'num': 32,
    'stacked_convs': 1,
    'feedforward_channels': 64,
}
# Pictures are an eighth as large; 256 is the width of many heads and stays.
SHRINK, LARGE = 8, 257
# The cards of timm's models, and what makes each shallow; their channels stay.
OF_TIMM = {
    **{name: dict(depths=(1,) * 4) for name in ('swin_t', 'swin_s', 'swinv2_t', 'convnext_t', 'convnext_s')},
    'mambaout_t': dict(depths=(1,) * 4),
    # timm lets nobody change its depths.
    'poolformer_s24': {},
    **{name: dict(depth=4) for name in ('vit_s_dinov3', 'vit_s_dinov2', 'xcit_s')},
    'efficientvit_b3': dict(depths=(1,) * 5),
    'resnet50': dict(layers=(1,) * 4),
}
# Parameters that a loss need not reach: DINO's labels for denoising that no box of the batch has, and the layers for
# boxes when no anchor was matched.
MAY_REST = ('dn_query_generator.label_embedding',)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'shapes'
    generate(root, train=2, val=1, seed=3, size=(96, 128))
    write_panoptic(root)
    return root


def small(node):
    """A copy of a config's value with its numbers cut down."""
    if isinstance(node, dict):
        # The backbone's channels are what they are.
        cut = {key: value if key.endswith('in_channels') else small(value) for key, value in node.items()}
        for key in CAPS.keys() & cut.keys():
            if isinstance(cut[key], int):
                cut[key] = min(cut[key], CAPS[key])
        return type(node)(cut)
    if isinstance(node, (list, tuple)):
        return type(node)([small(value) for value in node])
    return node // SHRINK if type(node) is int and node >= LARGE else node


def of_shapes(node, things, stuff):
    """Write the numbers of the embedded classes into the heads."""
    for part in walk(node):
        if part.get('num_classes', 1) > 1:
            part['num_classes'] = things + stuff
        if 'num_things_classes' in part:
            part['num_things_classes'], part['num_stuff_classes'] = things, stuff
        if isinstance(part.get('class_weight'), list):
            part['class_weight'] = [1.0] * (things + stuff) + part['class_weight'][-1:]


def at_shapes(loader, data, name):
    """Let a loader of a leaf read the embedded data, in this process."""
    loader.update(num_workers=0, persistent_workers=False, batch_size=min(loader.batch_size, 2))
    dataset = loader.dataset
    if name['dataset'] == 'ade20k':
        root = data / 'ade' / 'ADEChallengeData2016'
        dataset.update(type='BaseSegDataset', data_root=str(root), img_suffix='.png', reduce_zero_label=True)
        dataset.metainfo = dict(classes=SEG_CLASSES)
        return
    dataset.data_root = str(data / 'coco')
    dataset.metainfo = dict(classes=SHAPES_CLASSES)
    if name['dataset'] == 'coco_panoptic':
        dataset.metainfo = dict(
            classes=(*SHAPES_CLASSES, 'background'), thing_classes=SHAPES_CLASSES, stuff_classes=('background',)
        )


@pytest.fixture
def shrunk(tmp_path, data):
    """A function from a leaf to its config, cut down and pointed at the embedded data."""

    def make(path, name, card=None):
        text = path.read_text().replace("'_base_/", f"'{CONFIGS}/_base_/")
        large = f'backbones/{name["backbone"]}_{name["size"]}.py'
        assert text.count(large) == 1
        small_one = f'backbones/{card or name["backbone"] + "_nano"}.py'
        (tmp_path / path.name).write_text(text.replace(large, small_one))
        cfg = load_config(str(tmp_path / path.name), {}, str(tmp_path))
        backbone = cfg.model.pop('backbone')
        if card:
            backbone.update(options=OF_TIMM[card], init_cfg=None)
        cfg = Config(small(cfg._cfg_dict))
        cfg.model.backbone = backbone
        panoptic = name['dataset'] != 'coco'
        of_shapes(cfg.model, len(SHAPES_CLASSES), int(panoptic))
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            at_shapes(loader, data, name)
        return cfg

    return make


def check_prediction(sample, cfg, name):
    """The prediction is of the kind that the head is for, at the size of the picture."""
    shape = sample.ori_shape[:2]
    if name['dataset'] == 'ade20k':
        assert sample.pred_sem_seg.data.shape == (1, *shape)
        assert sample.pred_sem_seg.data.max() < len(SEG_CLASSES)
        return
    instances = sample.pred_instances
    assert instances.bboxes.shape == (len(instances), 4)
    assert ((instances.labels >= 0) & (instances.labels < len(SHAPES_CLASSES))).all()
    assert ('masks' in instances) == ('mask' in name['head'])
    if 'masks' in instances:
        assert instances.masks.shape == (len(instances), *shape)
    if name['dataset'] == 'coco_panoptic':
        assert sample.pred_panoptic_seg.sem_seg.shape == (1, *shape)


def train_and_predict(cfg, path, name):
    """One step that reaches all that is trained, and one prediction."""
    check_class_counts(cfg)
    check_datasets(Work('training', str(path), cfg), ('train_dataloader', 'val_dataloader'))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
        model.init_weights()
        optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
        batch = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))
        before = {key: value.clone() for key, value in model.state_dict().items()}
        reached = set()
        for key, parameter in model.named_parameters():
            parameter.register_post_accumulate_grad_hook(lambda _, key=key: reached.add(key))
        losses = model.train().train_step(batch, optim_wrapper)
        assert losses['loss'].isfinite()
        assert losses['loss'] > 0
        trainable = {key for key, parameter in model.named_parameters() if parameter.requires_grad}
        assert not {key for key in trainable - reached if not key.startswith(MAY_REST)}
        after = model.state_dict()
        moved = {key for key in trainable if not torch.equal(before[key], after[key])}
        assert any(key.startswith('backbone.') for key in moved)
        assert any(not key.startswith('backbone.') for key in moved)
        with torch.no_grad():
            samples = model.eval().test_step(next(iter(Runner.build_dataloader(cfg.val_dataloader, seed=0))))
    check_prediction(samples[0], cfg, name)


@pytest.mark.parametrize('path,name', heads_table.pairs(), ids=lambda value: getattr(value, 'stem', ''))
def test_trains_and_predicts(path, name, shrunk):
    train_and_predict(shrunk(path, name), path, name)


def of_timm():
    """Every head with every card of timm's models; all but two of each head's are left to the long run."""
    heads = [(path, name) for path, name in heads_table.pairs() if name['backbone'] == 'shiftvit']
    for row, (path, name) in enumerate(heads):
        for column, card in enumerate(OF_TIMM):
            marks = () if (column - 2 * row) % len(OF_TIMM) < 2 else pytest.mark.long
            yield pytest.param(path, name, card, marks=marks, id=f'{path.stem.replace("shiftvit_t", card)}')


@pytest.mark.parametrize('path,name,card', list(of_timm()))
def test_heads_over_timms_models(path, name, card, shrunk):
    pytest.importorskip('timm')
    train_and_predict(shrunk(path, name, card), path, name)


def test_cards_of_timms_models_are_all_tried():
    cards = {path.stem for path in (CONFIGS / '_base_/backbones').glob('*.py') if 'mmseq.Timm' in path.read_text()}
    # The nano ones are for comparisons: tests/side_by_side.
    assert {card for card in cards if not card.endswith('_nano')} == set(OF_TIMM)
    assert len(cards) >= 10


def test_panoptic_run_ends_with_its_quality(shrunk, data):
    path = CONFIGS / 'mask2former_seq2d_s_coco_panoptic.py'
    cfg = shrunk(path, NAME.fullmatch(path.stem))
    panoptic, boxes = cfg.val_evaluator
    panoptic.ann_file = str(data / 'coco/annotations/panoptic_val2017.json')
    panoptic.seg_prefix = str(data / 'coco/annotations/panoptic_val2017')
    boxes.ann_file = str(data / 'coco/annotations/instances_val2017.json')
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=1, val_interval=1)
    given = Settings('training', str(path), amp='bfloat16')
    launch.build_runner(launch.edited(cfg, given)[0], Terminal()).train()
    metrics = json.loads((Path(cfg.work_dir) / 'metrics.json').read_text())['metrics']
    assert 0 <= metrics['coco_panoptic/PQ'] <= 100
    assert 'coco/segm_mAP' in metrics


def test_every_head_meets_every_family():
    found = {(name['head'], name['dataset'], name['backbone']) for _, name in heads_table.pairs()}
    heads = {(head, dataset) for head, dataset, _ in found}
    assert len(heads) >= 15
    assert {(*head, family) for head in heads for family in heads_table.FAMILIES} == found
    assert {head for head, dataset in heads if dataset == 'ade20k'} == {*SEMANTIC, 'mask2former'}


def test_the_table_in_the_docs_is_fresh():
    assert heads_table.PAGE.read_text() == heads_table.page(), 'run: python tests/configs/heads_table.py'
