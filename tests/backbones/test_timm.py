"""timm's models as backbones: upstream's Swin to the bit of rounding, weights, freezing, and refusals in one line."""

import copy
import re

import pytest
import torch
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from torch import nn

from mmseq.backbones.timm import Timm
from mmseq.checkpoints import load_backbone
from mmseq.errors import InputError
from mmseq.registry import MODELS
from tests.backbones.recordings import noise
from tests.configs.leaves import CONFIGS, built

timm = pytest.importorskip('timm')

SWIN = 'swin_tiny_patch4_window7_224'
SMALL = dict(embed_dim=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 2, 4))
VIT = dict(depth=4, embed_dim=32, num_heads=2)


def lively(model):
    """Weights off their initial values, so that every tensor counts."""
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                spread = 0.5 if tensor.dim() < 2 else tensor[0].numel() ** -0.5
                tensor.copy_(noise(key, tensor.shape) * spread + (tensor.dim() < 2 and key.endswith('weight')))
    return model


def upstreams_name(key):
    """Of a tensor of mmdetection's and mmsegmentation's Swin, by ours."""
    key = key.removeprefix('net.').replace('patch_embed.proj', 'patch_embed.projection')
    key = re.sub(r'layers\.(\d)\.downsample', lambda match: f'stages.{int(match[1]) - 1}.downsample', key)
    key = key.replace('layers.', 'stages.').replace('.attn.', '.attn.w_msa.')
    key = key.replace('mlp.fc1', 'ffn.layers.0.0').replace('mlp.fc2', 'ffn.layers.1')
    return re.sub(r'^norms\.(\d)', r'norm\1', key)


def upstreams_order(key, tensor):
    """Upstream gathers the four cells of a patch channel by channel and row by row; timm column by column."""
    if 'downsample' not in key:
        return tensor
    quads = tensor.unflatten(-1, (2, 2, -1))
    return quads.permute(*range(tensor.dim() - 1), -1, -2, -3).flatten(-3)


@pytest.mark.parametrize('upstream', ['mmseg', 'mmdet'])
@pytest.mark.parametrize('size', [(96, 160), (224, 224), (512, 64)])
def test_swins_features_are_upstreams(upstream, size):
    """At sizes that fill the windows and at sizes that do not; padded windows are shifted as upstream does."""
    ours = lively(Timm(SWIN, options=SMALL)).eval()
    options = dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 2, 4), drop_path_rate=0.0)
    with DefaultScope.overwrite_default_scope(upstream):
        theirs = MODELS.build(dict(type='SwinTransformer', **options))
    # Its train() returns nothing.
    theirs.eval()
    mapped = {upstreams_name(key): upstreams_order(key, tensor) for key, tensor in ours.state_dict().items()}
    left = theirs.load_state_dict(mapped, strict=False)
    assert not left.unexpected_keys
    assert all(key.endswith('relative_position_index') for key in left.missing_keys)
    images = torch.randn(1, 3, *size)
    with torch.no_grad():
        for mine, level in zip(ours(images), theirs(images), strict=True):
            assert (mine - level).norm() <= 1e-5 * level.norm()


@pytest.mark.parametrize(
    'leaf, upstream',
    [
        ('upernet_swin_t_ade20k', 'mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py'),
        ('mask_rcnn_swin_t_coco', 'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py'),
    ],
)
def test_swin_models_have_upstreams_parameters(leaf, upstream):
    cfg = get_config(upstream)
    cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope(upstream.partition('::')[0]):
        theirs = MODELS.build(cfg.model)
    ours = built(CONFIGS / f'{leaf}.py')
    for part in ('backbone', 'neck', 'decode_head', 'auxiliary_head', 'rpn_head', 'roi_head'):
        counts = [sum(p.numel() for p in getattr(m, part).parameters()) for m in (ours, theirs) if hasattr(m, part)]
        assert len(set(counts)) <= 1, part
    assert ours.backbone.structure.arguments['drop_path_rate'] == cfg.model.backbone.drop_path_rate


def test_levels_of_a_single_stride_are_its_blocks():
    options = dict(VIT, depth=8)
    model, net = Timm('test_vit', options=options, out_norm=False), timm.create_model('test_vit', **options)
    net.load_state_dict({key.removeprefix('net.'): t for key, t in model.state_dict().items()}, strict=False)
    assert model.features == (2, 3, 4, 7)
    images = torch.randn(1, 3, 160, 160)
    expected = net.eval().forward_intermediates(images, indices=[2, 3, 4, 7], intermediates_only=True)
    for mine, level in zip(model.eval()(images), expected, strict=True):
        torch.testing.assert_close(mine, level)
    assert Timm('test_vit', options=VIT, levels=(0, 3)).features == (0, 3)


@pytest.mark.parametrize(
    'name, options, divisor',
    [
        ('test_resnet', {}, 32),
        ('test_convnext', {}, 32),
        ('test_efficientnet', {}, 32),
        ('vit_small_patch14_dinov2', dict(VIT), 14),
        ('vit_small_patch16_dinov3', dict(depth=3, embed_dim=48, num_heads=2), 16),
        # Windows of one size: images are padded to multiples of the size that it was trained at.
        ('test_maxvit', {}, 160),
    ],
)
def test_maps_are_as_declared(name, options, divisor):
    model = Timm(name, options=options, out_strides=(4, 8, 16, 32)[-3 if 'dinov3' in name else 0 :]).eval()
    assert model.size_divisor == divisor
    for size in ((32, 32), (37, 53), (200, 90)):
        with torch.no_grad():
            levels = model(torch.randn(1, 3, *size))
        assert [tuple(level.shape[1:]) for level in levels] == [
            (channels, -(-size[0] // stride), -(-size[1] // stride))
            for channels, stride in zip(model.out_channels, model.out_strides)
        ]


def saved(state, folder):
    torch.save(state, folder / 'weights.pth')
    return str(folder / 'weights.pth')


def test_loads_timms_files(tmp_path):
    net = lively(timm.create_model('test_convnext'))
    model = Timm('test_convnext', init_cfg=dict(type='Pretrained', checkpoint=saved(net.state_dict(), tmp_path)))
    report = load_backbone(model, tmp_path / 'weights.pth')
    assert report.loaded == len(net.state_dict()) - 2
    assert set(report.dropped) == {'head.fc.weight', 'head.fc.bias'}
    assert torch.equal(model.norms['3'].weight, net.head.norm.weight)
    assert {key.split('.')[1] for key in report.fresh} == {'0', '1', '2'}
    images = torch.randn(1, 3, 64, 96)
    expected = net.eval().forward_intermediates(images, intermediates_only=True)[-1]
    norm = net.head.norm(expected)
    torch.testing.assert_close(model.eval()(images)[-1], norm)


def test_loads_what_timm_reads_by_other_names(tmp_path):
    """Swin's authors keep downsampling at the end of a stage, and buffers in the file."""
    net = lively(timm.create_model(SWIN, **SMALL))
    theirs = {re.sub(r'layers\.(\d)\.d', lambda m: f'layers.{int(m[1]) - 1}.d', key).replace('head.fc', 'head'): tensor
              for key, tensor in net.state_dict().items()}  # fmt: skip
    theirs['layers.0.blocks.1.attn_mask'] = torch.zeros(64, 49, 49)
    model = Timm(SWIN, options=SMALL)
    report = load_backbone(model, saved({'model': theirs}, tmp_path))
    assert report.loaded == len(net.state_dict()) - 2
    for key, tensor in model.state_dict().items():
        if key.startswith('net.'):
            assert torch.equal(tensor, net.state_dict()[key.removeprefix('net.')]), key


def test_loads_fewer_levels_and_more_channels_of_images(tmp_path):
    full = Timm(SWIN, options=SMALL)
    path = saved({'state_dict': {f'backbone.{key}': t for key, t in full.state_dict().items()}}, tmp_path)
    short = Timm(SWIN, options=SMALL, out_indices=(0, 1), in_channels=4)
    report = load_backbone(short, path)
    assert report.loaded == len(short.state_dict())
    assert report.adapted == {'net.patch_embed.proj.weight': 'inflated from 3 to 4 input channels'}
    assert set(report.dropped) == set(full.state_dict()) - set(short.state_dict())


def test_weights_of_another_model(tmp_path):
    with pytest.raises(InputError, match=f'is no timm {SWIN}: it looks like ConvNeXt'):
        load_backbone(Timm(SWIN, options=SMALL), saved(timm.create_model('test_convnext').state_dict(), tmp_path))
    other = timm.create_model(SWIN, **SMALL | {'depths': (2, 2, 4, 2)}).state_dict()
    with pytest.raises(InputError, match=r'does not fit this timm swin.*loaded. 26 tensors in the file only'):
        load_backbone(Timm(SWIN, options=SMALL), saved(other, tmp_path))
    wider = timm.create_model(SWIN, **SMALL | {'embed_dim': 24}).state_dict()
    with pytest.raises(InputError, match='of another shape'):
        load_backbone(Timm(SWIN, options=SMALL), saved(wider, tmp_path))


def test_statistics_of_batch_norms():
    """Frozen stages keep theirs, all do with norm_eval, and no other."""
    images = torch.randn(2, 3, 64, 64)

    def moved(**options):
        model = Timm('test_resnet', **options).train()
        before = copy.deepcopy(model.state_dict())
        model(images)
        return {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}

    everywhere = moved()
    frozen = moved(frozen_stages=2)
    assert any('layer1' in key for key in everywhere)
    assert frozen == {key for key in everywhere if re.match(r'net\.layer[34]', key)}
    assert moved(norm_eval=True) == set()


def test_copies_have_weights_of_their_own():
    """Moving averages copy models whole."""
    model = lively(Timm(SWIN, options=SMALL)).eval()
    images = torch.randn(1, 3, 64, 64)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        expected = model(images)[-1]
        for parameter in model.parameters():
            parameter.zero_()
        assert torch.equal(twin(images)[-1], expected)


def test_no_final_norm_no_norms():
    assert not list(Timm('test_resnet').norms)
    with pytest.raises(InputError, match='test_resnet has no final norm'):
        Timm('test_resnet', out_norm=True)


def test_parameters_that_no_level_needs_are_not_trained():
    model = Timm('efficientvim_m1')
    assert [key for key, p in model.named_parameters() if not p.requires_grad] == ['net.weights']


@pytest.mark.parametrize(
    'arguments, words',
    [
        (dict(name='swin_tinny'), r"timm .* has no model 'swin_tinny'; nearest: \w+, \w+, \w+$"),
        (dict(name='swin_tiny_patch4_window7_224.nobody'), 'does not build swin_tiny.*nobody'),
        (dict(name='cait_xxs24_224'), 'takes images of 224 x 224 px only'),
        (dict(name='inception_v4'), 'no map of a whole stride|takes no images'),
        (dict(name='test_vit', options=dict(depht=3)), r'does not build test_vit \(depht=3\): .*depht'),
        (dict(name='test_vit', options=dict(in_chans=4)), 'in_chans does not belong there; use in_channels'),
        (dict(name='test_vit', levels=(0, 9)), r'levels=\(0, 9\): expected ascending features'),
        (dict(name='vgg11', drop_path_rate=0.1), 'vgg11 has no drop path'),
        (dict(name='sequencer2d_s', with_cp=True), 'sequencer2d_s cannot: .*checkpointing'),
        (dict(name='poolformer_s12', frozen_stages=0), 'does not say what the stem of poolformer_s12 is'),
    ],
)
def test_refusals_take_one_line(arguments, words):
    with pytest.raises(InputError, match=words) as caught:
        Timm(**arguments)
    assert '\n' not in str(caught.value)


def test_without_timm(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'timm', None)
    with pytest.raises(InputError, match=r"needs timm, which is not installed: pip install 'mmseq\[timm\]'"):
        Timm('test_vit')


def test_with_an_old_timm(monkeypatch):
    monkeypatch.setattr(timm, '__version__', '1.0.15')
    with pytest.raises(InputError, match='needs timm 1.0.31 or newer, and 1.0.15 is installed'):
        Timm('test_vit')


def test_layers_without_timms_grouping():
    with pytest.raises(ValueError, match='timm does not count the layers of poolformer_s12'):
        Timm('poolformer_s12').get_layer_depth('net.stem.conv.weight')


def test_norms_are_of_the_models_kind():
    norms = Timm('test_vit', options=VIT).norms.values()
    assert all(isinstance(norm, nn.LayerNorm) and norm.eps == 1e-6 for norm in norms)
    assert len(norms) == 4
