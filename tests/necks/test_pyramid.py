"""The pyramid from maps of one stride."""

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn
from torch.nn import functional as F

from mmseq.backbones import VisionLSTM
from mmseq.necks import SimplePyramid
from mmseq.registry import MODELS


def maps(channels=(8, 8, 8, 8), size=(6, 5)):
    return [torch.randn(2, c, *size) for c in channels]


@pytest.mark.parametrize('norm', ['BN', 'LN'])
def test_shapes(norm):
    neck = SimplePyramid(8, norm_cfg=dict(type=norm))
    assert [tuple(x.shape) for x in neck(maps())] == [(2, 8, 24, 20), (2, 8, 12, 10), (2, 8, 6, 5), (2, 8, 3, 3)]


def test_levels_are_the_authors():
    neck = SimplePyramid(8).eval()
    kinds = [[type(m) for m in level if not isinstance(m, nn.Identity)] for level in neck.levels]
    up = nn.ConvTranspose2d
    assert kinds == [[up, nn.BatchNorm2d, nn.GELU, up], [up], [], [nn.MaxPool2d]]
    xs = maps()
    first, norm, _, second = neck.levels[0][:4]
    x = F.gelu(norm(F.conv_transpose2d(xs[0], first.weight, first.bias, stride=2)))
    with torch.no_grad():
        got = neck(xs)
        torch.testing.assert_close(got[0], F.conv_transpose2d(x, second.weight, second.bias, stride=2))
    assert torch.equal(got[2], xs[2])
    torch.testing.assert_close(got[3], F.max_pool2d(xs[3], 2, ceil_mode=True))


def test_initialisation():
    neck = SimplePyramid(64)
    weight = neck.levels[1][0].weight
    bound = (6 / (64 + 4 * 64)) ** 0.5
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert not neck.levels[1][0].bias.any()


def test_channels_per_level_and_a_common_width():
    neck = SimplePyramid([4, 8, 12, 16], out_channels=10)
    assert [x.shape[1] for x in neck(maps((4, 8, 12, 16)))] == [10] * 4


def test_one_map_for_all_levels():
    neck = SimplePyramid(8).eval()
    x = maps()[0]
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(neck((x,)), neck([x] * 4)))
    with pytest.raises(ValueError, match='takes 1 or 4 maps, got 2'):
        neck([x, x])


def test_scales_for_stride_8():
    neck = SimplePyramid(8, scales=(2, 1, 0.5, 0.25))
    assert [x.shape[2] for x in neck(maps(size=(6, 6)))] == [12, 6, 3, 2]


def test_gradients_reach_every_parameter():
    neck = SimplePyramid(8, out_channels=4)
    sum(x.square().sum() for x in neck(maps())).backward()
    assert all(p.grad.abs().sum() > 0 for name, p in neck.named_parameters() if name != 'levels.0.0.bias')


def test_layer_norm_is_over_channels():
    norm = SimplePyramid(8, norm_cfg=dict(type='LN')).levels[0][1]
    y = norm(5 + 3 * torch.randn(2, 8, 4, 4))
    torch.testing.assert_close(y.mean(1), torch.zeros(2, 4, 4), atol=1e-5, rtol=0)


def test_norm_can_be_frozen():
    neck = SimplePyramid(8, norm_cfg=dict(type='BN', requires_grad=False))
    assert {name for name, p in neck.named_parameters() if not p.requires_grad} == {
        'levels.0.1.weight',
        'levels.0.1.bias',
    }


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
def test_builds_from_both_scopes_and_fits_the_backbone(scope):
    with DefaultScope.overwrite_default_scope(scope):
        neck = MODELS.build(dict(type='mmseq.SimplePyramid', in_channels=64, scales=(2, 1, 0.5, 0.25)))
    backbone = VisionLSTM('nano', out_norm=False)
    levels = neck(backbone(torch.randn(2, 3, 64, 96)))
    assert [tuple(x.shape[2:]) for x in levels] == [(64 // s, 96 // s) for s in (4, 8, 16, 32)]


@pytest.mark.parametrize(
    'options,message',
    [
        (dict(scales=(3, 1)), 'scale 3: expected a power of two'),
        (dict(scales=(0, 1)), 'scale 0'),
        (dict(in_channels=[8, 8]), 'one for each of scales'),
        (dict(norm_cfg=dict(type='GN')), 'expected a type of BN, SyncBN, LN'),
        (dict(norm_cfg=dict(type='BN', groups=2)), 'requires_grad at most'),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        SimplePyramid(**{'in_channels': 8, **options})
