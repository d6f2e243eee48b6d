"""Predictions are upstream's, picture by picture, whatever they are predicted with."""

import warnings

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from mmseq.compat import allocator
from mmseq.datasets.sources import Picture, Video
from mmseq.errors import InputError
from mmseq.model.trained import load_trained
from mmseq.predict.folder import expected
from mmseq.predict.predictor import Predictor, prediction_steps

SEGMENTOR = 'configs/upernet_seq2d_nano_shapes.py'
DETECTOR = 'configs/mask_rcnn_seq2d_nano_shapes.py'
SIX_BANDS = {
    'model.backbone.in_channels': 6,
    'model.data_preprocessor.mean': None,
    'model.data_preprocessor.std': None,
    'model.data_preprocessor.bgr_to_rgb': False,
    'test_dataloader.dataset.pipeline.0': dict(type='mmseq.LoadMultispectralImage', channels=6),
}


def model_of(config, options=None):
    torch.manual_seed(0)
    return load_trained(config, None, options=options, device='cpu')[1]


@pytest.fixture(scope='module')
def segmentor():
    return model_of(SEGMENTOR)


@pytest.fixture(scope='module')
def detector():
    return model_of(DETECTOR)


def noise(*size):
    """(H, W, 3) bytes of smooth patches."""
    coarse = np.random.default_rng(sum(size)).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    """Files of three sizes, two of one."""
    folder = tmp_path_factory.mktemp('pictures')
    paths = []
    for number, size in enumerate([(90, 120), (120, 90), (90, 120), (200, 100)]):
        paths.append(folder / f'{number}.png')
        Image.fromarray(np.roll(noise(*size), 7 * number, axis=0)).save(paths[-1])
    return paths


def test_labels_are_upstreams(segmentor, pictures):
    from mmseg.apis import inference_model

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with DefaultScope.overwrite_default_scope('mmseg'):
            truth = [inference_model(segmentor, str(path)) for path in pictures]
    for found, expected_one, path in zip(Predictor(segmentor).predict(pictures), truth, pictures, strict=True):
        assert found.labels.shape == Image.open(path).size[::-1]
        assert found.labels.dtype == np.uint8
        assert np.array_equal(found.labels, expected_one.pred_sem_seg.data[0])
        assert found.instances is None


def test_instances_are_upstreams(detector, pictures):
    from mmdet.apis import inference_detector

    with DefaultScope.overwrite_default_scope('mmdet'):
        truths = inference_detector(detector, [str(path) for path in pictures])
    for found, expected_one in zip(Predictor(detector).predict(pictures), truths, strict=True):
        truth = expected_one.pred_instances.numpy()
        assert len(found.instances) == len(truth.scores) > 0
        order = np.argsort(-truth.scores, kind='stable')
        np.testing.assert_allclose(found.instances.boxes, truth.bboxes[order], rtol=1e-4, atol=1e-3)
        assert np.array_equal(found.instances.labels, truth.labels[order])
        assert found.instances.masks.shape[1:] == found.size
        assert found.labels is None


def test_memory_is_given_back_where_it_is_short(segmentor, pictures, monkeypatch):
    settings = []
    monkeypatch.setattr(allocator, '_kept', True)
    monkeypatch.setattr(allocator, 'is_short', lambda: True)
    monkeypatch.setattr(allocator, '_set', lambda wishes: not settings.append(wishes))
    Predictor(segmentor).predict(pictures)
    assert settings == [allocator.USUAL]


@pytest.mark.parametrize('name', ['segmentor', 'detector'])
def test_a_batch_of_several_sizes_is_each_by_itself(name, request, pictures):
    predictor = Predictor(request.getfixturevalue(name))
    together = predictor.predict(pictures)
    for path, one in zip(pictures, together, strict=True):
        (alone,) = predictor.predict([path])
        assert np.array_equal(alone.picture, one.picture)
        if name == 'segmentor':
            assert (alone.labels == one.labels).mean() > 0.999
        else:
            np.testing.assert_allclose(alone.instances.scores, one.instances.scores, atol=1e-5)


def test_pictures_of_one_size_go_together(segmentor, pictures, monkeypatch):
    sizes = []
    step = segmentor.test_step
    monkeypatch.setattr(segmentor, 'test_step', lambda data: sizes.append(len(data['inputs'])) or step(data))
    Predictor(segmentor).predict(pictures)
    assert sizes == [2, 1, 1]


def test_an_array_is_its_file(segmentor, pictures):
    predictor = Predictor(segmentor)
    array = np.asarray(Image.open(pictures[0]))
    from_file, from_array = predictor.predict([pictures[0], array])
    assert np.array_equal(from_file.labels, from_array.labels)
    assert np.array_equal(from_file.picture, array)
    assert np.array_equal(from_array.picture, array)


def test_what_is_refused(segmentor, tmp_path):
    predictor = Predictor(segmentor)
    Image.fromarray(noise(300, 300)).save(tmp_path / 'torn.jpg')
    content = (tmp_path / 'torn.jpg').read_bytes()
    (tmp_path / 'torn.jpg').write_bytes(content[: len(content) * 7 // 10])
    (tmp_path / 'text.png').write_text('text')
    for name, complaint in (('torn.jpg', 'truncated'), ('text.png', 'no image'), ('gone.png', 'no such file')):
        with pytest.raises(InputError, match=rf'{name}: .*{complaint}'):
            predictor.prepare(tmp_path / name)
    for array in (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32)):
        with pytest.raises(InputError, match=r'expected \(H, W, 3\) bytes'):
            predictor.prepare(array)


def test_a_torn_picture_is_not_left_to_the_loader(segmentor, tmp_path, monkeypatch):
    predictor = Predictor(segmentor)
    Image.fromarray(noise(300, 300)).save(tmp_path / 'torn.jpg')
    (tmp_path / 'torn.jpg').write_bytes((tmp_path / 'torn.jpg').read_bytes()[:-200])
    monkeypatch.setattr(predictor, '_load', lambda results: pytest.fail('loaded'))
    with pytest.raises(InputError, match='truncated'):
        predictor.prepare(tmp_path / 'torn.jpg')


def test_a_picture_turned_by_its_exif(segmentor, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(noise(60, 100)).save(tmp_path / 'a.jpg', exif=exif)
    (found,) = Predictor(segmentor).predict([tmp_path / 'a.jpg'])
    assert found.size == found.labels.shape == (100, 60)


def test_full_size_leaves_pixels_alone(segmentor, detector):
    image = noise(210, 333)
    for model in (segmentor, detector):
        predictor = Predictor(model, full_size=True)
        prepared = predictor.prepare(image)
        assert prepared.data['inputs'].shape[1:] == (210, 333)
        assert torch.equal(prepared.data['inputs'], torch.tensor(image[:, :, ::-1].copy()).permute(2, 0, 1))
        (found,) = predictor.run([prepared])
        assert found.size == (210, 333)
        if found.instances is not None:
            assert found.instances.boxes[:, 2].max() > 170


def test_certainty_is_the_probability_of_the_label(segmentor, pictures):
    from mmseg.apis import inference_model

    (found,) = Predictor(segmentor, certainty=True).predict([pictures[0]])
    with DefaultScope.overwrite_default_scope('mmseg'):
        logits = inference_model(segmentor, str(pictures[0])).seg_logits.data
    np.testing.assert_allclose(found.certainty, logits.softmax(0).amax(0), atol=1e-5)
    assert Predictor(segmentor).predict([pictures[0]])[0].certainty is None


def test_images_of_many_channels(tmp_path):
    predictor = Predictor(model_of(SEGMENTOR, SIX_BANDS))
    np.save(tmp_path / 'a.npy', np.random.default_rng(0).normal(size=(70, 80, 6)).astype(np.float32))
    (found,) = predictor.predict([tmp_path / 'a.npy'])
    assert found.labels.shape == (70, 80)
    assert found.picture.shape == (70, 80, 3)
    assert found.picture.max() == 255
    with pytest.raises(InputError, match='files of many channels'):
        predictor.prepare(noise(70, 80))
    np.save(tmp_path / 'b.npy', np.zeros((70, 80, 5), np.float32))
    with pytest.raises(InputError, match=r'b\.npy: has 5 channels'):
        predictor.prepare(tmp_path / 'b.npy')


def test_a_config_without_a_loader():
    steps = [dict(type='Resize', scale=(8, 8)), dict(type='LoadAnnotations')]
    for cfg in ({}, dict(test_dataloader=dict(dataset=dict(pipeline=steps)))):
        with pytest.raises(InputError, match='does not begin with loading'):
            prediction_steps(Config(cfg), False)


def test_the_pipeline_of_a_wrapped_data_set():
    inner = dict(type='X', pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadPanopticAnnotations')])
    cfg = Config(dict(test_dataloader=dict(dataset=dict(type='Wrapper', dataset=inner))))
    assert prediction_steps(cfg, False) == [dict(type='LoadImageFromFile')]
    joined = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', dataset=inner), dict(type='Y')])
    cfg = Config(dict(test_dataloader=dict(dataset=joined)))
    assert prediction_steps(cfg, False) == [dict(type='LoadImageFromFile')]


def test_expected_counts_pictures_and_frames():
    sources = [Picture('a', 'a'), Video('b', 'b', 10, 25.0)]
    assert expected(sources, 1, None) == 11
    assert expected(sources, 3, None) == 5
    assert expected(sources, 3, 2) == 3
    assert expected([*sources, Video(0, 'c', None, 25.0)], 1, None) is None
    assert expected([*sources, Video(0, 'c', None, 25.0)], 1, 4) == 9
