"""The schedules are upstream's, point by point, and the rules for weight decay hold for every parameter."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from torch import nn

from mmseq.layers.position import PositionEmbedding
from mmseq.registry import MODELS

BASE = Path(__file__).parents[2] / 'configs' / '_base_' / 'schedules'
# 117266 images of COCO train2017 have instances; 16 of them make an iteration.
COCO_EPOCH = 7330


def rates(schedule, optimizer, iterations, epoch=None):
    """The learning rate of every iteration, as mmengine's hook steps the schedulers."""
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=optimizer.lr)
    with DefaultScope.overwrite_default_scope('mmengine'):
        built = [
            PARAM_SCHEDULERS.build(dict(item), default_args=dict(optimizer=optimizer, epoch_length=epoch))
            for item in schedule
        ]
    by_iteration = [s for s in built if not s.by_epoch]
    by_epoch = [s for s in built if s.by_epoch]
    found = []
    for i in range(iterations):
        found.append(optimizer.param_groups[0]['lr'])
        for s in by_iteration:
            s.step()
        if epoch and (i + 1) % epoch == 0:
            for s in by_epoch:
                s.step()
    return torch.tensor(found, dtype=torch.float64)


def warm_up(start, length, iterations):
    """Factor, linear from ``start`` at iteration 0 to 1 at iteration ``length - 1``."""
    i = torch.arange(iterations, dtype=torch.float64)
    return start + (1 - start) * (i / (length - 1)).clamp(max=1)


def test_ade20k_160k():
    cfg = Config.fromfile(BASE / 'ade20k_160k.py')
    total, warm = 160_000, 1500
    assert (cfg.train_cfg.max_iters, cfg.optim_wrapper.optimizer.lr) == (total, 6e-5)
    i = torch.arange(total, dtype=torch.float64)
    # From the end of the warm-up to 0 in the last iteration.
    expected = 6e-5 * warm_up(1e-6, warm, total) * (1 - (i - warm).clamp(min=0) / (total - warm - 1))
    found = rates(cfg.param_scheduler, cfg.optim_wrapper.optimizer, total)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize('name, epochs, drops', [('1x', 12, (8, 11)), ('3x', 36, (27, 33))])
def test_coco(name, epochs, drops):
    cfg = Config.fromfile(BASE / f'coco_{name}.py')
    assert (cfg.train_cfg.max_epochs, cfg.optim_wrapper.optimizer.lr) == (epochs, 1e-4)
    total = epochs * COCO_EPOCH
    epoch = torch.arange(total) // COCO_EPOCH
    expected = 1e-4 * warm_up(0.001, 1000, total) * 0.1 ** sum((epoch >= drop).double() for drop in drops)
    found = rates(cfg.param_scheduler, cfg.optim_wrapper.optimizer, total, COCO_EPOCH)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize(
    'ours, upstream',
    [
        ('ade20k_160k', 'mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py'),
        ('coco_1x', 'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py'),
        ('coco_3x', 'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py'),
    ],
)
def test_settings_are_upstreams(ours, upstream):
    mine, theirs = Config.fromfile(BASE / f'{ours}.py'), get_config(upstream)
    assert mine.param_scheduler == theirs.param_scheduler
    assert mine.optim_wrapper.optimizer == theirs.optim_wrapper.optimizer
    for key in ('max_iters', 'max_epochs'):
        assert mine.train_cfg.get(key) == theirs.train_cfg.get(key)
    keys = {key.replace('absolute_', '') for key in theirs.optim_wrapper.paramwise_cfg.custom_keys}
    assert keys == set(mine.optim_wrapper.paramwise_cfg.custom_keys) - {'.skip'}


class Model(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = MODELS.build(dict(type=f'mmseq.{backbone}', arch='nano'))
        self.head = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))


BACKBONES = ['Sequencer2D', 'VSequencer', 'ShiftViT', 'VisionLSTM']
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d)


def kind(model, name):
    """What a parameter is, from the module that holds it and not from its name."""
    parent, _, own = name.rpartition('.')
    module = model.get_submodule(parent)
    if isinstance(module, NORMS):
        return 'norm'
    if isinstance(module, PositionEmbedding):
        return 'position'
    if own == 'skip':
        return 'skip'
    return 'vector' if module.get_parameter(own).dim() <= 1 else 'weight'


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.parametrize(
    'schedule, spared',
    [
        # As Swin's, with the heads' norms decayed, whose names say bn.
        ('ade20k_160k', {'norm', 'position', 'skip'}),
        ('coco_1x', {'norm', 'position', 'skip'}),
        ('ade20k_160k_layer_decay', {'norm', 'position', 'skip', 'vector'}),
        ('shapes_seg_1200', {'norm', 'position', 'skip', 'vector'}),
        ('shapes_instance_8e', {'norm', 'position', 'skip', 'vector'}),
    ],
)
def test_weight_decay_of_every_parameter_of_the_backbone(backbone, schedule, spared):
    model = Model(backbone)
    cfg = Config.fromfile(BASE / f'{schedule}.py').optim_wrapper
    wrapper = build_optim_wrapper(model, cfg)
    decay = {id(p): group['weight_decay'] for group in wrapper.optimizer.param_groups for p in group['params']}
    found = {name: decay[id(p)] for name, p in model.named_parameters()}
    assert len(decay) == len(found)
    kinds = {name: kind(model, name) for name in found if name.startswith('backbone.')}
    expected = {name: 0 if kinds[name] in spared else cfg.optimizer.weight_decay for name in kinds}
    assert {name: found[name] for name in kinds} == expected
    wanted = {'norm', 'vector', 'weight'}
    wanted |= {'VSequencer': {'position'}, 'VisionLSTM': {'position', 'skip'}}.get(backbone, set())
    assert set(kinds.values()) == wanted


@pytest.mark.parametrize('backbone', BACKBONES)
def test_upstreams_rule_for_norms_knows_ours(backbone):
    model = Model(backbone)
    options = dict(optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.5), paramwise_cfg=dict(norm_decay_mult=0.0))
    groups = build_optim_wrapper(model, options).optimizer.param_groups
    decay = {id(p): group['weight_decay'] for group in groups for p in group['params']}
    for name, parameter in model.named_parameters():
        assert decay[id(parameter)] == (0 if kind(model, name) == 'norm' else 0.5), name
