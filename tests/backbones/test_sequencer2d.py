"""Sequencer2D against timm's model, and what is its own."""

import pytest
import timm
import torch

from mmseq.backbones import Sequencer2D
from mmseq.backbones.sequencer2d import ARCHS
from mmseq.errors import InputError

PARAMS = {'s': 27.65e6, 'm': 38.31e6, 'l': 54.30e6}


def lively(model):
    """Weights away from initialisation, so that no tensor's value is shared or trivial."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.03)
    return model.eval()


def to_authors(state, depths=(4, 3, 8, 3)):
    """timm's names as the authors write them."""
    out = {}
    for key, tensor in state.items():
        parts = key.split('.')
        if parts[0] == 'stages':
            stage = int(parts[1])
            if parts[2] == 'downsample':
                key = '.'.join(['blocks', str(stage - 1), str(depths[stage - 1]), *parts[3:]])
            else:
                key = '.'.join(['blocks', str(stage), *parts[3:]])
        out[key.replace('head.fc.', 'head.')] = tensor
    return out


@pytest.fixture(scope='module')
def peer():
    torch.manual_seed(1)
    return lively(timm.create_model('sequencer2d_s'))


@pytest.mark.parametrize('layout', ['timm', 'authors'])
@pytest.mark.parametrize('size', [(224, 224), (112, 168)])
def test_equals_timm(peer, tmp_path, layout, size):
    state = peer.state_dict() if layout == 'timm' else to_authors(peer.state_dict())
    torch.save(state, tmp_path / 'weights.pth')
    model = Sequencer2D('s', init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth')))
    model.init_weights()
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = peer.forward_features(images).permute(0, 3, 1, 2)
        levels = model.eval()(images)
    assert (levels[-1] - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize('arch', PARAMS)
def test_parameter_counts_are_the_authors(arch):
    model = Sequencer2D(arch, out_indices=(3,))
    classifier = 384 * 1000 + 1000
    assert sum(p.numel() for p in model.parameters()) + classifier == pytest.approx(PARAMS[arch], rel=2e-4)


def test_native_strides():
    assert Sequencer2D('s').out_strides == (7, 14, 14, 14)
    assert Sequencer2D('s', out_indices=(0,)).size_divisor == 7


@pytest.mark.parametrize('arch', [name for name in ARCHS if name.startswith('s_')])
def test_ablations_run(arch):
    model = Sequencer2D(arch, out_indices=(0,))
    assert model(torch.randn(1, 3, 35, 42))[0].shape == (1, 192, 5, 6)


def test_arch_as_dict():
    model = Sequencer2D(dict(depths=(1, 1, 1, 1), dims=(8, 8, 8, 8), hidden=(2, 2, 2, 2)))
    assert model.out_channels == (8, 8, 8, 8)
    with pytest.raises(TypeError, match='width'):
        Sequencer2D(dict(depths=(1, 1, 1, 1), width=8))


def test_padding_does_not_reach_back_through_a_vertical_scan():
    """A resampled map is the native one seen elsewhere: at coinciding strides both are equal."""
    model = Sequencer2D('nano').eval()
    images = torch.randn(1, 3, 61, 47)
    with torch.no_grad():
        native = model(images)
        model.out_strides = (4, 8, 16, 32)
        assert all(torch.equal(a, b) for a, b in zip(native, model(images), strict=True))


def test_inflated_stem_answers_grey_images_alike(tmp_path):
    rgb = Sequencer2D('nano').eval()
    torch.save(rgb.state_dict(), tmp_path / 'rgb.pth')
    grey = torch.randn(1, 1, 64, 64)
    for channels in (1, 2, 4, 6):
        model = Sequencer2D('nano', channels, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'rgb.pth')))
        model.init_weights()
        with torch.no_grad():
            expected, got = rgb(grey.expand(1, 3, 64, 64))[-1], model.eval()(grey.expand(1, channels, 64, 64))[-1]
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_wrong_size_of_the_same_family_is_refused(peer, tmp_path):
    torch.save(peer.state_dict(), tmp_path / 'weights.pth')
    model = Sequencer2D('m', init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth')))
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(InputError, match=r'nothing was loaded\. \d+ tensors in the model only: stages\.2\.blocks\.8'):
        model.init_weights()
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())
