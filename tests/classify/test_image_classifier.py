"""The classifier that a run trains: its batches, its losses, its names of weights."""

import pytest
import torch
from torch.nn import functional as F

from mmseq.classify import build_classifier
from mmseq.classify.preprocessor import MEAN, STD, ClassificationPreprocessor
from mmseq.errors import InputError
from mmseq.registry import MODELS

NANO = dict(type='mmseq.Sequencer2D', arch='nano', out_indices=(3,))


def classifier(backbone=NANO, **options):
    return MODELS.build(dict(type='mmseq.ImageClassifier', backbone=backbone, num_classes=3, **options))


def batch(count=4, side=32):
    return dict(inputs=torch.randint(256, (count, side, side, 3), dtype=torch.uint8), labels=torch.arange(count) % 3)


def test_bytes_are_normalised():
    given = batch()
    images = ClassificationPreprocessor()(given)['inputs']
    expected = (given['inputs'].permute(0, 3, 1, 2) - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(
        3, 1, 1
    )
    assert torch.allclose(images, expected, atol=1e-5)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_mixing_and_erasing_are_of_training_alone():
    pytest.importorskip('timm')
    made = ClassificationPreprocessor(mixing=dict(mixup_alpha=0.8, num_classes=3, label_smoothing=0.0), erasing=1.0)
    given = batch()
    plain, trained = made(given, False), made(given, True)
    assert plain['labels'].shape == (4,)
    assert trained['labels'].shape == (4, 3)
    assert torch.allclose(trained['labels'].sum(1), torch.ones(4))
    assert not torch.equal(plain['inputs'], trained['inputs'])
    assert torch.equal(plain['inputs'], ClassificationPreprocessor()(given)['inputs'])


def test_mixed_labels_are_shares_of_the_classifiers_classes():
    pytest.importorskip('timm')
    mixing = dict(type='mmseq.ClassificationPreprocessor', mixing=dict(mixup_alpha=0.8))
    prepare = classifier(data_preprocessor=mixing).data_preprocessor
    shares = prepare(batch(), True)['labels']
    assert shares.shape == (4, 3)
    # Two classes at most: the loss smooths labels, and once is enough.
    assert ((shares > 0).sum(1) <= 2).all()
    with pytest.raises(InputError, match='a batch of 3 images: mixing takes pairs of them; set train_dataloader'):
        prepare(batch(3), True)


def test_losses_of_labels_and_of_shares():
    model, given = classifier(label_smoothing=0.1), batch()
    model.head.weight.data.normal_()
    images, labels = model.data_preprocessor(given).values()
    logits = model(images)
    assert logits.shape == (4, 3)
    loss = model(images, labels, mode='loss')['loss']
    assert torch.allclose(loss, F.cross_entropy(logits, labels, label_smoothing=0.1))
    shares = F.one_hot(labels, 3).float()
    assert torch.allclose(model(images, shares, mode='loss')['loss'], loss)


def test_predictions_have_a_dict_for_each_image():
    model = classifier()
    model.head.weight.data.normal_()
    found = model.val_step(batch(5))
    assert len(found) == 5
    for sample in found:
        assert sample['rank'] == int((sample['scores'] > sample['scores'][sample['label']]).sum())


@pytest.mark.parametrize('family, name', [('sequencer2d', 'Sequencer2D'), ('vil', 'VisionLSTM')])
def test_weights_have_the_names_of_our_classifiers(family, name):
    model = classifier(dict(type=f'mmseq.{name}', arch='nano', out_indices=(3,)))
    other = build_classifier(family, 'nano', num_classes=3)
    other.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(other.eval()(images), model.eval()(images))


@pytest.mark.parametrize('name, norms', [('resnet18', 0), ('convnext_atto', 1)])
def test_a_model_of_timm(name, norms):
    pytest.importorskip('timm')
    model = classifier(dict(type='mmseq.Timm', name=name, out_indices=(3,)))
    assert len(model.backbone.norms) == norms
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 3)
