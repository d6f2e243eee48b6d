"""Classifiers from files: found by their tensors, loaded strictly, and one line for what does not fit."""

import pytest
import torch

from mmseq.checkpoints import FAMILIES
from mmseq.checkpoints.rules import restore
from mmseq.classify import build_classifier, identify, load_weights
from mmseq.classify.image_classifier import ImageClassifier
from mmseq.classify.weights import published_row
from mmseq.errors import InputError

IMAGES = torch.linspace(-1, 1, 3 * 40 * 56).reshape(1, 3, 40, 56)


def lively(family, num_classes=7, **options):
    """A classifier whose head answers."""
    torch.manual_seed(0)
    model = build_classifier(family, 'nano', num_classes, **options).eval()
    torch.nn.init.normal_(model.head.weight)
    return model


def authors_file(model, path):
    """Its weights as the authors' files have them."""
    family = FAMILIES[model.backbone.family]
    own = {
        key.removeprefix('backbone.').replace('head_norm.', 'head.norm.'): t for key, t in model.state_dict().items()
    }
    torch.save({'model': restore(own, family.layouts[0]).tensors}, path)
    return str(path)


@pytest.mark.parametrize('family', ['sequencer2d', 'shiftvit', 'vsequencer'])
def test_a_file_of_the_authors_is_recognised(family, tmp_path):
    model = lively(family)
    found = identify(authors_file(model, tmp_path / 'file.pth'))
    assert (found.family, found.arch) == (family, 'nano')
    assert f'{len(model.state_dict())}/{len(model.state_dict())} tensors from file.pth' in str(found.report)
    with torch.no_grad():
        torch.testing.assert_close(found.model(IMAGES), model(IMAGES), rtol=1e-5, atol=1e-5)


def test_a_pretraining_with_its_classes(tmp_path):
    model = ImageClassifier(dict(type='mmseq.VisionLSTM', arch='nano', out_indices=(3,)), 2).eval()
    torch.nn.init.normal_(model.head.weight)
    meta = dict(dataset_meta=dict(classes=('cat', 'dog')))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), tmp_path / 'epoch_3.pth')
    found = identify(str(tmp_path / 'epoch_3.pth'))
    assert (found.family, found.arch, found.classes) == ('vil', 'nano', ('cat', 'dog'))
    with torch.no_grad():
        torch.testing.assert_close(found.model(IMAGES), model(IMAGES))


def test_another_number_of_classes_or_channels(tmp_path):
    file = authors_file(lively('shiftvit'), tmp_path / 'a.pth')
    model = build_classifier('shiftvit', 'nano', 3, in_chans=4)
    report = load_weights(model, file, 3)
    assert report.fresh == ['head.weight', 'head.bias']
    assert set(report.dropped.values()) == {'classifier of other classes'}
    assert report.adapted
    assert model(torch.zeros(1, 4, 40, 40)).shape == (1, 3)
    load_weights(model, authors_file(lively('shiftvit', in_chans=4), tmp_path / 'b.pth'), 0)
    assert model(torch.zeros(1, 4, 40, 40)).shape == (1, model.head_hidden_size)


def test_what_does_not_fit_is_named(tmp_path):
    file = authors_file(lively('shiftvit'), tmp_path / 'a.pth')
    with pytest.raises(InputError, match=r"a\.pth: the weights are no sequencer2d: it looks like shiftvit's"):
        load_weights(build_classifier('sequencer2d', 'nano'), file)
    with pytest.raises(InputError, match='does not fit this classifier over shiftvit; nothing was loaded'):
        load_weights(build_classifier('shiftvit', 't'), file)
    backbone = {key: t for key, t in lively('shiftvit').state_dict().items() if key.startswith('backbone.')}
    torch.save(backbone, tmp_path / 'b.pth')
    with pytest.raises(InputError, match=r'b\.pth: holds no classifier'):
        identify(str(tmp_path / 'b.pth'))


def test_published_figures_by_address_file_or_arch():
    address = 'https://github.com/okojoalg/sequencer/releases/download/weights/sequencer2d_s.pth'
    assert published_row(address, 'sequencer2d', 's').reported_top1 == 82.3
    assert published_row('down/sequencer2d_s.pth', 'sequencer2d', 's').name == 'sequencer2d_s'
    assert published_row('anything.pth', 'sequencer2d', 'l').reported_top1 == 83.4
    assert published_row('anything.pth', 'sequencer2d', 'nano') is None
    assert published_row('vil_base16_e400_in1k_stride8.th', 'vision_lstm', 'v1_b').options == {'patch_stride': 8}
    assert not published_row('vil_base16_e400_in1k.th', 'vision_lstm', 'v1_b').options
