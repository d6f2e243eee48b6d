"""Classifiers answer what their authors' code does: heads over recorded features, and timm's Sequencer2D whole."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmseq.classify import Classifier, build_classifier
from mmseq.classify.classifier import FAMILIES, classifiers_names
from mmseq.errors import InputError
from tests.backbones.recordings import noise, picture, recording
from tests.backbones.test_vision_lstm import SMALL as VIL
from tests.backbones.test_vision_lstm import recorded
from tests.backbones.test_vsequencer import SMALL

SHIFTVIT = dict(dim=16, depths=(2, 1, 2, 1), mlp_ratio=2.0, n_div=5)


def loaded(model, state):
    model.load_state_dict(classifiers_names(state, model))
    return model.eval()


def mean_logits(state, features):
    """The authors' head of the Sequencers and ShiftViT: the mean of all cells, and a linear map."""
    return F.linear(features.mean((2, 3)), state['head.weight'], state['head.bias'])


@pytest.mark.parametrize('name', ['shiftvit', 'vsequencer_s', 'vsequencer_h', 'vsequencer_pe'])
def test_logits_are_those_of_the_authors_features(name):
    state, answers = recording(name)
    family, _, arch = name.partition('_')
    model = loaded(build_classifier(family, SMALL[arch] if arch else SHIFTVIT, num_classes=4), state)
    assert answers
    for size, features in answers:
        with torch.no_grad():
            got, expected = model(picture(size)), mean_logits(state, features)
        assert (got - expected).norm() <= 1e-5 * expected.norm(), size


def test_vision_lstm_2_has_its_ends_side_by_side():
    state, answers = recorded(2)
    model = loaded(build_classifier('vil', VIL[2], num_classes=10), state)
    for size, features in answers:
        ends = torch.cat((features[:, :, 0, 0], features[:, :, -1, -1]), 1).float()
        normed = F.layer_norm(ends, (64,), state['legacy_norm.weight'], state['legacy_norm.bias'])
        expected = F.linear(normed, state['head.weight'], state['head.bias'])
        with torch.no_grad():
            got = model(picture(size))
        assert (got - expected).norm() <= 1e-4 * expected.norm(), size


def test_vision_lstm_1_takes_the_mean_of_its_ends_between_its_norms():
    state, _ = recorded(1)
    model = loaded(build_classifier('vil', VIL[1], num_classes=10), state)
    stack, last = model.backbone.norms['3']
    images = picture((40, 56))
    with torch.no_grad():
        tokens = stack(model.backbone.stage_maps(images)[-1])
        expected = model.head(last((tokens[:, 0, 0] + tokens[:, -1, -1]) / 2))
        torch.testing.assert_close(model(images), expected)
    assert torch.equal(model.head.weight, state['head.weight'])
    assert torch.equal(last.weight, state['norm.weight'])


@pytest.mark.parametrize('size', [(224, 224), (126, 182)])
def test_sequencer2d_answers_as_timms(size):
    timm = pytest.importorskip('timm')
    peer = timm.create_model('sequencer2d_s', layers=(2, 1, 2, 1)).eval()
    state = {key: noise(key, t.shape).float() * (t[0].numel() ** -0.5 if t.dim() > 1 else 0.3) for key, t in
             peer.state_dict().items()}  # fmt: skip
    peer.load_state_dict(state)
    arch = dict(depths=(2, 1, 2, 1), dims=(192, 384, 384, 384), hidden=(48, 96, 96, 96))
    model = loaded(build_classifier('sequencer2d', arch), state)
    with torch.no_grad():
        expected = peer(picture(size))
        assert (model(picture(size)) - expected).norm() <= 1e-5 * expected.norm()


@pytest.fixture(params=FAMILIES)
def model(request):
    return build_classifier(request.param, 'nano', num_classes=5)


def test_images_of_any_size(model):
    for size in ((32, 32), (37, 100)):
        assert model(torch.randn(2, 3, *size)).shape == (2, 5)


def test_intermediates_are_as_declared(model):
    images = torch.randn(1, 3, 37, 100)
    last, levels = model.eval().forward_intermediates(images)
    strides = [info['reduction'] for info in model.feature_info]
    assert strides == list(model.backbone.strides)
    for level, info, stride in zip(levels, model.feature_info, strides, strict=True):
        assert level.shape == (1, info['num_chs'], -(-37 // stride), -(-100 // stride))
    assert last.shape[1:3] == levels[-1].shape[2:]
    (normed,) = model.forward_intermediates(images, [-1], norm=True, intermediates_only=True, output_fmt='NHWC')
    torch.testing.assert_close(normed, last)
    with pytest.raises(InputError, match=r'indices=\(9,\)'):
        model.forward_intermediates(images, (9,))


def test_maps_of_other_strides(model):
    model = Classifier(model.backbone, out_strides=(4, 8, 16, 32))
    levels = model.forward_intermediates(torch.randn(1, 3, 64, 96), 2, intermediates_only=True)
    assert [tuple(level.shape[2:]) for level in levels] == [(4, 6), (2, 3)]
    with pytest.raises(InputError, match='one for each of 4 stages'):
        Classifier(model.backbone, out_strides=(4, 8))


def test_pruned_models_have_no_more_than_their_levels_need(model):
    images = torch.randn(1, 3, 64, 64)
    expected = model.eval().forward_intermediates(images, [0, 1], intermediates_only=True)
    assert model.prune_intermediate_layers([0, 1], prune_norm=True) == [0, 1]
    levels = model.forward_intermediates(images, [0, 1], intermediates_only=True)
    torch.testing.assert_close(levels, expected)
    sum((level * torch.randn_like(level)).sum() for level in levels).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_heads_change(model):
    images = torch.randn(2, 3, 48, 48)
    model.reset_classifier(7)
    assert model(images).shape == (2, 7)
    model.reset_classifier(0)
    assert model(images).shape == (2, model.head_hidden_size)
    model.reset_classifier(0, '')
    torch.testing.assert_close(model.eval()(images), model.forward_features(images))


def test_checkpointing_and_dropout(model):
    images = torch.randn(2, 3, 48, 48)
    gradients = []
    nn.init.normal_(model.head.weight)
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(images).square().sum().backward()
        gradients.append({key: p.grad.clone() for key, p in model.named_parameters()})
    torch.testing.assert_close(*gradients)
    dropping = Classifier(model.backbone, 5, drop_rate=1.0).train()
    assert torch.equal(dropping(images), dropping.head.bias.expand(2, -1))


def test_weights_of_another_family_are_named():
    state, _ = recording('shiftvit')
    with pytest.raises(InputError, match="are no sequencer2d: it looks like shiftvit's"):
        classifiers_names(state, build_classifier('sequencer2d', 'nano'))
    state['odd'] = state['head.bias']
    with pytest.raises(InputError, match=r"no rule explains: \['odd'\]"):
        classifiers_names(state, build_classifier('shiftvit', SHIFTVIT))
