"""A model with a checkpoint's weights, outside of runs."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger

from mmseq.errors import InputError
from mmseq.model.trained import load_trained
from mmseq.pictures.palette import class_colours

SEGMENTOR = 'configs/upernet_seq2d_nano_shapes.py'
DETECTOR = 'configs/mask_rcnn_seq2d_nano_shapes.py'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Weights as a run saves them, with class names of their own."""
    _, model = load_trained(SEGMENTOR, None)
    path = tmp_path_factory.mktemp('trained') / 'iter_1.pth'
    with torch.no_grad():
        model.decode_head.conv_seg.bias.fill_(7)
    meta = dict(dataset_meta=dict(classes=('a', 'b'), palette=[[0, 0, 0], [1, 1, 1]]))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


def test_weights_and_classes_are_the_checkpoints(checkpoint):
    cfg, model = load_trained(SEGMENTOR, str(checkpoint))
    assert not model.training
    assert (model.decode_head.conv_seg.bias == 7).all()
    assert model.dataset_meta['classes'] == ('a', 'b')
    assert model.cfg is cfg


def test_other_classes_of_the_checkpoint_are_a_warning(checkpoint, monkeypatch):
    said = []
    monkeypatch.setattr('mmseq.model.trained.print_log', lambda text, *args, **options: said.append(text))
    load_trained(SEGMENTOR, str(checkpoint))
    found = [text for text in said if 'classes' in text]
    assert len(found) == 1
    assert found[0].startswith("the checkpoint's classes are used: 2 of its 2 classes have another name here")


@pytest.mark.parametrize('config, first', [(SEGMENTOR, 'background'), (DETECTOR, 'circle')])
def test_classes_without_a_checkpoint_are_the_data_sets(config, first):
    _, model = load_trained(config, None)
    assert model.dataset_meta['classes'][0] == first


def test_a_checkpoint_of_another_model_is_refused(checkpoint):
    with pytest.raises(InputError, match=r'iter_1\.pth is of another model .* use the config it was trained with'):
        load_trained(DETECTOR, str(checkpoint))


def test_the_log_has_no_paragraph_per_parameter():
    said, logger = [], MMLogger.get_current_instance()
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger.addHandler(handler)
    try:
        load_trained(SEGMENTOR, None)
        logger.info('\nafterwards')
    finally:
        logger.removeHandler(handler)
    assert [text for text in said if text.startswith('\n')] == ['\nafterwards']


def test_absent_device():
    if torch.cuda.is_available():
        pytest.skip('there is one')
    with pytest.raises(InputError, match='no CUDA GPU here'):
        load_trained(SEGMENTOR, None, device='cuda')


def test_a_data_set_of_no_registry_is_named(checkpoint):
    with pytest.raises(InputError, match='NoSuchDataset is not in the mmseg::dataset registry'):
        load_trained(SEGMENTOR, str(checkpoint), options={'test_dataloader.dataset.type': 'NoSuchDataset'})


@pytest.fixture
def names(tmp_path):
    path = tmp_path / 'names.txt'
    path.write_text('first\nsecond class\n')
    return {'test_dataloader.dataset.metainfo': dict(classes=str(path), palette='random')}


@pytest.mark.parametrize('config', [SEGMENTOR, DETECTOR])
def test_class_names_from_a_file(config, names):
    _, model = load_trained(config, None, options=names)
    assert model.dataset_meta['classes'] == ['first', 'second class']
    assert class_colours(model)[0] == ('first', 'second class')


def test_an_absent_file_of_class_names_is_one_line():
    absent = {'test_dataloader.dataset.metainfo': dict(classes='names.txt')}
    with pytest.raises(InputError, match=r"metainfo\.classes='names\.txt': no such file; give the names"):
        load_trained(SEGMENTOR, None, options=absent)


def test_an_empty_line_is_no_class(tmp_path):
    path = tmp_path / 'names.txt'
    path.write_text('first\nsecond\n\n')
    with pytest.raises(InputError, match=r"names\.txt': line 3 is empty, .* without a name; delete it$"):
        load_trained(SEGMENTOR, None, options={'test_dataloader.dataset.metainfo': dict(classes=str(path))})


@pytest.mark.parametrize(
    'content, message',
    [
        (b'\xef\xbb\xbffirst\nsecond\n', 'begins with a byte order mark, which would belong to a name'),
        ('first\nsecond\n'.encode('utf-16'), "'utf-8' codec can't decode .*; save it as UTF-8 text"),
        (None, 'Is a directory.*; save it as UTF-8 text, a name in each line'),
    ],
)
def test_a_file_of_class_names_in_another_form(content, message, tmp_path):
    path = tmp_path / 'names.txt'
    path.write_bytes(content) if content else path.mkdir()
    with pytest.raises(InputError, match=rf"names\.txt': .*{message}"):
        load_trained(SEGMENTOR, None, options={'test_dataloader.dataset.metainfo': dict(classes=str(path))})


def test_a_checkpoint_that_says_its_classes_needs_no_file(checkpoint):
    absent = {'test_dataloader.dataset.metainfo': dict(classes='names.txt')}
    _, model = load_trained(SEGMENTOR, str(checkpoint), options=absent)
    assert model.dataset_meta['classes'] == ('a', 'b')
