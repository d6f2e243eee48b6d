"""Layer-wise decay: every parameter once, its rate from its depth, upstream's rules kept."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmseq.backbones import Sequencer2D, VisionLSTM

BASE, DECAY, RATE = 1e-3, 0.05, 0.5


class Model(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(4, 2)


def build(model, **options):
    return build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            constructor='mmseq.LayerDecayOptimWrapperConstructor',
            optimizer=dict(type='AdamW', lr=BASE, weight_decay=DECAY),
            paramwise_cfg=dict(decay_rate=RATE, **options),
        ),
    )


def settings(model, wrapper):
    """Name of each parameter to its group's rate and weight decay; every trained one is in one group only."""
    groups = [(id(p), group) for group in wrapper.optimizer.param_groups for p in group['params']]
    assert len(groups) == len({key for key, _ in groups})
    by_id = dict(groups)
    found = {n: by_id[id(p)] for n, p in model.named_parameters() if p.requires_grad}
    assert len(found) == len(groups)
    return {name: (group['lr'], group['weight_decay']) for name, group in found.items()}


@pytest.fixture
def vil():
    # Four pairs.
    return Model(VisionLSTM('nano'))


@pytest.mark.parametrize(
    'name,above',
    [
        ('backbone.stem.proj.weight', 5),
        ('backbone.stem.pos_embed.weight', 5),
        ('backbone.stages.0.blocks.0.0.layer.up.weight', 4),
        ('backbone.stages.0.blocks.0.1.layer.up.weight', 4),
        ('backbone.stages.3.blocks.0.1.norm.bias', 1),
        ('backbone.norms.0.weight', 0),
        ('head.weight', 0),
    ],
)
def test_rates(vil, name, above):
    assert settings(vil, build(vil))[name] == pytest.approx((BASE * RATE**above, DECAY))


def test_rates_of_the_authors_recipe():
    """0.65 to the number of layers above: 13 for the stem of 12 pairs, 1 for the last pair."""
    model = Model(VisionLSTM('t'))
    depth, layers = model.backbone.get_layer_depth('backbone.stages.3.blocks.3.0.norm.weight', 'backbone.')
    assert (layers - 1 - depth, layers - 1) == (1, 13)


def test_any_backbone_serves():
    model = Model(Sequencer2D('nano'))
    found = settings(model, build(model))
    assert found['backbone.stem.weight'][0] == pytest.approx(BASE * RATE**6)
    assert found['backbone.stages.3.blocks.0.norm1.weight'][0] == pytest.approx(BASE * RATE)


def test_upstreams_rules_hold(vil):
    custom = {'pos_embed': dict(decay_mult=0.0), 'igate': dict(lr_mult=0.1)}
    found = settings(vil, build(vil, norm_decay_mult=0.0, flat_decay_mult=0.0, custom_keys=custom))
    assert found['backbone.stem.pos_embed.weight'] == pytest.approx((BASE * RATE**5, 0))
    assert found['backbone.stages.0.blocks.0.0.norm.weight'] == pytest.approx((BASE * RATE**4, 0))
    scan = 'backbone.stages.0.blocks.0.0.layer.scans.0'
    assert found[f'{scan}.skip'] == pytest.approx((BASE * RATE**4, 0))
    assert found[f'{scan}.q_proj.weight'] == pytest.approx((BASE * RATE**4, DECAY))
    assert found[f'{scan}.cell.igate.weight'] == pytest.approx((0.1 * BASE * RATE**4, DECAY))
    assert found['head.bias'] == pytest.approx((BASE, 0))


def test_groups_are_joined_with_the_base_rate_first(vil):
    groups = build(vil, flat_decay_mult=0.0).optimizer.param_groups
    # Stem, four pairs, and the output norms and the head: each with and without weight decay.
    assert len(groups) == 12
    assert groups[0]['lr'] == BASE


def test_frozen_parameters_are_left_out():
    model = Model(VisionLSTM('nano', frozen_stages=1))
    found = settings(model, build(model))
    assert not any(name.startswith(('backbone.stem', 'backbone.stages.0')) for name in found)


def test_a_step_moves_the_head_more_than_the_stem(vil):
    wrapper = build(vil)
    before = {name: p.detach().clone() for name, p in vil.named_parameters()}
    levels = vil.backbone(torch.randn(1, 3, 32, 32))
    loss = sum((x * torch.randn_like(x)).sum() for x in levels) + vil.head(torch.randn(3, 4)).square().sum()
    wrapper.update_params(loss)
    moved = {name: (p - before[name]).abs().max().item() for name, p in vil.named_parameters()}
    assert moved['head.weight'] == pytest.approx(BASE, rel=0.1)
    assert moved['backbone.stem.proj.weight'] == pytest.approx(BASE * RATE**5, rel=0.3)


@pytest.mark.parametrize('rate', [0, 1.5, None, 'half'])
def test_bad_rates(vil, rate):
    with pytest.raises(ValueError, match='decay_rate'):
        build_optim_wrapper(
            vil,
            dict(
                constructor='mmseq.LayerDecayOptimWrapperConstructor',
                optimizer=dict(type='AdamW', lr=BASE, weight_decay=DECAY),
                paramwise_cfg=dict(decay_rate=rate),
            ),
        )


def test_a_backbone_that_does_not_count_is_named():
    with pytest.raises(TypeError, match='Conv2d does not count its layers'):
        build(Model(nn.Conv2d(1, 1, 1)))
