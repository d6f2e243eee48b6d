"""ShiftViT against what the authors' code answered, and against its formula written down once more."""

import argparse

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmseq.backbones import ShiftViT
from mmseq.backbones.shiftvit import ARCHS, ShiftViTBlock
from mmseq.checkpoints import load_backbone
from mmseq.errors import InputError
from tests.backbones.recordings import picture, recording

# Millions, with the classifier.
PARAMS = {
    't_light': 19.61,
    't_r4': 31.43,
    't': 28.57,
    's_light': 33.80,
    's_r4': 51.52,
    's': 50.30,
    'b_light': 59.71,
    'b_r4': 87.27,
    'b': 89.03,
}
SMALL = dict(depths=(2, 1, 2, 1), dim=16, mlp_ratio=2.0, n_div=5)


def saved(state, folder):
    """As the authors' training saves it."""
    path = folder / 'shiftvit.pth'
    torch.save({'model': state, 'epoch': 299, 'args': argparse.Namespace(model='shiftvit', lr=1e-3)}, path)
    return dict(type='Pretrained', checkpoint=str(path))


def test_equals_the_authors_code(tmp_path):
    state, answers = recording('shiftvit')
    model = ShiftViT(SMALL, init_cfg=saved(state, tmp_path))
    model.init_weights()
    assert answers
    for size, expected in answers:
        with torch.no_grad():
            got = model.eval()(picture(size))[-1]
        assert got.shape == expected.shape
        assert (got - expected).norm() <= 1e-5 * expected.norm(), size


def test_every_tensor_of_the_authors_file_is_explained(tmp_path):
    state, _ = recording('shiftvit')
    report = load_backbone(ShiftViT(SMALL), saved(state, tmp_path)['checkpoint'])
    assert report.layout == 'authors'
    assert report.loaded == len(state) - 2
    assert report.dropped == {'head.weight': 'classifier', 'head.bias': 'classifier'}
    assert sorted(report.fresh) == [f'norms.{i}.{part}' for i in range(3) for part in ('bias', 'weight')]


def test_other_image_channels_from_the_authors_file(tmp_path):
    state, _ = recording('shiftvit')
    report = load_backbone(ShiftViT(SMALL, in_channels=5), saved(state, tmp_path)['checkpoint'])
    assert report.adapted == {'stem.proj.weight': 'inflated from 3 to 5 input channels'}


def test_a_convolution_that_is_no_linear_map_is_refused(tmp_path):
    state, _ = recording('shiftvit')
    state['layers.0.blocks.0.mlp.fc1.weight'] = torch.zeros(32, 16, 3, 3)
    with pytest.raises(InputError, match=r'fc1\.weight \(32, 16, 3, 3\) instead of \(32, 16\)'):
        load_backbone(ShiftViT(SMALL), saved(state, tmp_path)['checkpoint'])


def test_swin_is_not_taken_for_it(tmp_path):
    state, _ = recording('shiftvit')
    # Swin's names are ShiftViT's and these.
    state['layers.0.blocks.0.norm1.weight'] = torch.ones(16)
    state['layers.0.blocks.0.attn.relative_position_bias_table'] = torch.zeros(169, 3)
    with pytest.raises(InputError, match='is no shiftvit: it looks like Swin'):
        load_backbone(ShiftViT(SMALL), saved(state, tmp_path)['checkpoint'])


@pytest.mark.parametrize('arch', PARAMS)
def test_parameter_counts_are_the_authors(arch):
    with torch.device('meta'):
        model = ShiftViT(arch, out_indices=(3,))
    classifier = (model.out_channels[0] + 1) * 1000
    assert (sum(p.numel() for p in model.parameters()) + classifier) / 1e6 == pytest.approx(PARAMS[arch], abs=0.006)


def test_every_arch_is_counted():
    assert set(PARAMS) == set(ARCHS) - {'nano'}


def block_in_channels_first(x, block, n_div):
    """The block's formula on (B, C, H, W): rolled channels with the row or column that came round set to 0."""
    group = x.shape[1] // n_div
    moved = x.clone()
    for n, (step, axis, border) in enumerate([(-1, 3, -1), (1, 3, 0), (-1, 2, -1), (1, 2, 0)]):
        part = x[:, n * group : (n + 1) * group].roll(step, axis)
        part.select(axis, border).zero_()
        moved[:, n * group : (n + 1) * group] = part
    y = F.group_norm(moved, 1, block.norm.weight, block.norm.bias, 1e-5)
    y = F.conv2d(y, block.mlp.fc1.weight[:, :, None, None], block.mlp.fc1.bias)
    y = F.conv2d(F.gelu(y), block.mlp.fc2.weight[:, :, None, None], block.mlp.fc2.bias)
    return moved + y


def lively(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module.double().eval()


@pytest.mark.parametrize('size', [(1, 1), (7, 5), (4, 9)])
@pytest.mark.parametrize('arch', [ARCHS['nano'], ARCHS['t_light']])
def test_block_is_the_formula(arch, size):
    block = lively(ShiftViTBlock(arch.dim, arch, drop_path=0.3))
    x = torch.randn(2, arch.dim, *size, dtype=torch.float64)
    got = block(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(got, block_in_channels_first(x, block, arch.n_div))


def levels_in_channels_first(model, x, n_div):
    """The model's formula on (B, C, H, W), in the dtype of both."""
    y = F.conv2d(x, model.stem.proj.weight, model.stem.proj.bias, stride=4)
    y = F.group_norm(y, 1, model.stem.norm.weight, model.stem.norm.bias)
    for i, stage in enumerate(model.stages):
        if i:
            y = F.group_norm(y, 1, stage.downsample.norm.weight, stage.downsample.norm.bias)
            y = F.conv2d(y, stage.downsample.reduction.weight, stride=2)
        for block in stage.blocks:
            y = block_in_channels_first(y, block, n_div)
        yield F.group_norm(y, 1, model.norms[str(i)].weight, model.norms[str(i)].bias)


def test_stages_are_joined_by_norm_and_convolution():
    model = lively(ShiftViT('nano'))
    x = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    expected = levels_in_channels_first(model, x, ARCHS['nano'].n_div)
    for level, other in zip(model(x), expected, strict=True):
        torch.testing.assert_close(level, other)


@pytest.mark.parametrize('constant', [False, True])
def test_large_images_keep_float32s_digits(constant):
    """A map of two million numbers, whose sums in float32 would be off by more than our bound."""
    arch = dict(SMALL, depths=(1, 1, 1, 1), dim=32, n_div=8)
    model = ShiftViT(arch, out_indices=(0,)).eval()
    image = torch.full((1, 3, 1024, 1024), 0.7) if constant else picture((1024, 1024))
    with torch.no_grad():
        (level,) = model(image)
        (expected,) = levels_in_channels_first(model.double(), image.double(), 8)
    assert (level - expected).norm() <= 1e-5 * expected.norm()


def test_an_image_answers_alike_in_any_batch():
    model = ShiftViT('nano').eval()
    images = torch.randn(3, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(images)[-1][1:2], model(images[1:2])[-1], rtol=1e-4, atol=1e-5)


def test_arch_as_dict():
    assert ShiftViT(dict(depths=(1, 1, 1, 1), dim=8, n_div=4)).out_channels == (8, 16, 32, 64)
    with pytest.raises(TypeError, match='width'):
        ShiftViT(dict(depths=(1, 1, 1, 1), width=8))


@pytest.mark.parametrize('size', [32, 256])
def test_modules_of_the_mixer_are_called_where_somebody_asks_for_it(size):
    """Hooks and modules of another class, as adapters put there, on maps that one operator would take and on small."""
    model, calls = ShiftViT('nano').eval(), []
    mlp = model.stages[0].blocks[0].mlp
    images = torch.randn(1, 3, size, size)
    expected = model(images)
    mlp.fc1.register_forward_hook(lambda *_: calls.append('hook'))
    adapted = nn.Sequential(mlp.fc2, nn.Identity())
    adapted[1].register_forward_hook(lambda *_: calls.append('adapter'))
    mlp.fc2 = adapted
    for level, other in zip(model(images), expected):
        torch.testing.assert_close(level, other, rtol=1e-4, atol=1e-4)
    assert calls == ['hook', 'adapter']
