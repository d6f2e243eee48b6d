"""Classifiers answer what their authors' code does: recorded logits, and timm's Sequencer2D."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mmseq.classify import Classifier, build_classifier
from mmseq.classify.classifier import FAMILIES, classifiers_names
from mmseq.errors import InputError
from tests.backbones.recordings import noise, picture, recording, weights
from tests.backbones.test_vision_lstm import SMALL as VIL
from tests.backbones.test_vision_lstm import recorded
from tests.backbones.test_vsequencer import SMALL

SHIFTVIT = dict(dim=16, depths=(2, 1, 2, 1), mlp_ratio=2.0, n_div=5)


def loaded(model, state):
    model.load_state_dict(classifiers_names(state, model))
    return model.eval()


AUTHORS = json.loads((Path(__file__).parent / 'recorded' / 'logits.json').read_text())
"""What the authors' whole models answer to the weights and pictures of ``tests/backbones/recordings.py``."""


def authors_case(name):
    """Family, arch and state dict of a recording."""
    if name == 'sequencer2d':
        arch = dict(depths=(2, 1, 1, 1), dims=(8, 16, 16, 16), hidden=(4, 8, 8, 8))
        return name, arch, weights(AUTHORS[name]['shapes'])
    if name.startswith('vision_lstm'):
        version = int(name[-1])
        return 'vil', VIL[version], recorded(version)[0]
    family, _, arch = name.partition('_')
    return family, SMALL[arch] if arch else SHIFTVIT, recording(name)[0]


@pytest.mark.parametrize('name', AUTHORS)
def test_logits_are_the_authors(name):
    family, arch, state = authors_case(name)
    model = loaded(build_classifier(family, arch, num_classes=len(state['head.bias'])), state).double()
    assert AUTHORS[name]['logits']
    for size, answer in AUTHORS[name]['logits'].items():
        expected = torch.tensor([answer], dtype=torch.float64)
        with torch.no_grad():
            got = model(picture(tuple(map(int, size.split('x')))).double())
        # The recordings of all but Vision-LSTM are in float32.
        assert (got - expected).norm() <= 1e-5 * expected.norm(), size
        best = min(5, expected.shape[1])
        assert torch.equal(got.topk(best).indices, expected.topk(best).indices), size


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
