"""mmseq in Python."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import mmseq
from mmseq.datasets.own.card import Card, Part, read_card, write_card
from mmseq.datasets.shapes import SEG_CLASSES, generate
from mmseq.errors import InputError
from mmseq.model.trained import load_trained
from mmseq.predict.predictor import Predictor

CONFIG = 'upernet_seq2d_nano_shapes'
SHORT = {
    'train_cfg.max_iters': 2,
    'train_cfg.val_interval': 2,
    'train_dataloader.batch_size': 2,
    'train_dataloader.num_workers': 0,
    'val_dataloader.num_workers': 0,
    'test_dataloader.num_workers': 0,
    'default_hooks.checkpoint.interval': 2,
}


def test_names_are_loaded_when_they_are_used():
    code = (
        'import sys, mmseq; assert "mmseq.api" not in sys.modules; assert "load" in dir(mmseq);'
        'assert callable(mmseq.load); assert "mmseq.api" in sys.modules; assert "mmdet" not in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], check=True)
    with pytest.raises(AttributeError, match="module 'mmseq' has no attribute 'laod'"):
        _ = mmseq.laod


def test_a_backbone_with_weights(tmp_path):
    torch.manual_seed(1)
    first = mmseq.create_backbone('sequencer2d_nano', out_strides=(4, 8, 16, 32))
    assert first.out_strides == (4, 8, 16, 32)
    assert [tuple(level.shape[2:]) for level in first(torch.zeros(1, 3, 64, 96))] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    torch.save(first.state_dict(), tmp_path / 'a.pth')
    again = mmseq.create_backbone('sequencer2d_nano', weights=tmp_path / 'a.pth')
    for key, value in first.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)
    with pytest.raises(InputError, match=r'a\.pth'):
        mmseq.create_backbone('shiftvit_nano', weights=tmp_path / 'a.pth')


def test_a_classifier_with_weights(tmp_path):
    torch.manual_seed(1)
    first = mmseq.create_model('vision_lstm_nano', num_classes=5, drop_rate=0.1).eval()
    torch.nn.init.normal_(first.head.weight)
    torch.save(first.state_dict(), tmp_path / 'a.pth')
    again = mmseq.create_model('vision_lstm_nano', weights=tmp_path / 'a.pth').eval()
    images = torch.randn(1, 3, 40, 56)
    torch.testing.assert_close(again(images), first(images))
    assert mmseq.create_model('vision_lstm_nano', weights=tmp_path / 'a.pth', num_classes=3).num_classes == 3
    assert mmseq.create_model('shiftvit_nano', in_channels=4)(torch.zeros(1, 4, 40, 40)).shape == (1, 1000)
    assert mmseq.create_model('sequencer2d_nano', num_classes=2, pool='')(images).shape == (1, 2, 2, 2)
    with pytest.raises(InputError, match=r'a\.pth: the weights are no shiftvit'):
        mmseq.create_model('shiftvit_nano', weights=tmp_path / 'a.pth')
    with pytest.raises(InputError, match='model shiftvit_nao: is none of .*; nearest: shiftvit_nano'):
        mmseq.create_model('shiftvit_nao')
    with pytest.raises(InputError, match="pool='max': expected avg"):
        mmseq.create_model('shiftvit_nano', pool='max')


@pytest.mark.parametrize(
    'arguments, said',
    [
        (dict(name='sequencer_s'), 'backbone sequencer_s: is none of sequencer2d_s, .*; nearest: .*sequencer2d_s'),
        (dict(name='shiftvit_nano', out_indices=(3, 1)), 'backbone shiftvit_nano: out_indices=.*expected ascending'),
        (dict(name='shiftvit_nano', weights='absent.pth'), 'checkpoint absent.pth: no such file'),
    ],
)
def test_what_is_no_backbone_is_named(arguments, said):
    with pytest.raises(InputError, match=said):
        mmseq.create_backbone(**arguments)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A real training, in a folder of its own."""
    folder = tmp_path_factory.mktemp('api')
    generate(folder / 'data' / 'shapes', train=4, val=3, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv('MMSEQ_DATA', str(folder / 'data'))
        yield mmseq.train(CONFIG, work_dir='runs/first', options=SHORT)


@pytest.fixture(scope='module')
def model(run):
    return run.load(device='cpu')


@pytest.fixture(scope='module')
def photos(run):
    return sorted((run.work_dir.absolute().parents[1] / 'data' / 'shapes' / 'coco' / 'val2017').iterdir())


def test_a_training_gives_its_run(run, model):
    assert run.checkpoint.name == 'iter_2.pth'
    assert 0 <= run.metrics['mIoU'] <= 100
    assert repr(model).startswith('TrainedModel(first, iter_2.pth: EncoderDecoder, 9 classes)')
    assert model.classes[:2] == ('background', 'circle')
    assert not model.module.training


def test_an_evaluation_gives_its_metrics(run):
    found = mmseq.evaluate(run, options={'test_dataloader.num_workers': 0})
    assert found['mIoU'] == pytest.approx(run.metrics['mIoU'], abs=0.01)
    assert (run.work_dir / 'metrics.json').is_file()


def test_whatever_names_the_model_gives_the_same_one(run, model, photos):
    expected = model(photos[0]).label_map
    assert len(np.unique(expected)) > 0
    for name in (run.work_dir, str(run.checkpoint), (CONFIG, run.checkpoint), (run.work_dir, str(run.checkpoint))):
        assert np.array_equal(mmseq.load(name, device='cpu')(photos[0]).label_map, expected)
    with pytest.raises(InputError, match='is one too many'):
        mmseq.load((run.checkpoint, 'b.pth'))


def test_lists_are_predicted_in_batches(run, model, photos, monkeypatch):
    sizes, predict = [], Predictor.run
    monkeypatch.setattr(Predictor, 'run', lambda self, some: sizes.append(len(some)) or predict(self, some))
    results = model(photos, batch=2)
    assert sizes == [2, 1]
    assert len(results) == 3
    reference = Predictor(load_trained(CONFIG, str(run.checkpoint), device='cpu')[1])
    for result, prediction in zip(results, reference.predict(photos)):
        assert np.array_equal(result.label_map, prediction.labels)
    assert model([]) == []
    assert [np.array_equal(*pair) for pair in zip(maps_of(model(iter(photos))), maps_of(results))] == [True] * 3


def maps_of(results):
    return [result.label_map for result in results]


def test_an_image_in_tiles(model, photos):
    height, width = model(photos[0]).image.shape[:2]
    whole = Predictor(model.module, full_size=True).predict([photos[0]])[0].labels
    # Larger than the padded image; sums of another order settle a tie otherwise.
    assert (model(photos[0], tiles=256).label_map == whole).mean() > 0.999
    (tiled,) = model([photos[0]], tiles=64, overlap=0.5)
    assert tiled.label_map.shape == (height, width)
    with pytest.raises(InputError, match='an overlap from 0 to 0.9'):
        model(photos[0], tiles=64, overlap=1.0)


def test_text_is_one_image(model):
    with pytest.raises(InputError, match='^bytes: an image is a file'):
        model(b'no path')
    with pytest.raises(InputError, match=r'^absent\.jpg'):
        model('absent.jpg')
    with pytest.raises(InputError, match='^image 1 of the list: an array of uint8'):
        model([np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40, 4), np.uint8)])
    with pytest.raises(InputError, match='batch=0'):
        model([], batch=0)


def test_own_data_go_under_a_config_of_their_task(run, tmp_path):
    root = run.work_dir.absolute().parents[1] / 'data' / 'shapes' / 'ade' / 'ADEChallengeData2016'
    parts = {
        name: Part(root / 'images' / folder, root / 'annotations' / folder, image_suffix='.png')
        for name, folder in (('train', 'training'), ('val', 'validation'))
    }
    card = Card('mine', 'semantic', SEG_CLASSES, reduce_zero_label=True, **parts)
    path = write_card(tmp_path / 'card.yaml', card)
    options = {key: value for key, value in SHORT.items() if not key.startswith('train_cfg')}
    # The card itself will do: it is what import_data returns.
    own = mmseq.train(CONFIG, data=read_card(path), epochs=1, image_size=64, work_dir=tmp_path / 'own', options=options)
    model = own.load(device='cpu')
    assert model.classes == SEG_CLASSES
    assert model.config.train_cfg.max_iters == 2
    assert str(root / 'images') in str(model.config.train_dataloader.dataset)
