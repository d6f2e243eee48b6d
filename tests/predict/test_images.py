"""One image, whatever it comes as, is the same image."""

import contextlib
import re

import numpy as np
import pytest
import torch
from PIL import Image

from mmseq.checkpoints import download
from mmseq.errors import InputError
from mmseq.model.trained import load_trained
from mmseq.predict import images
from mmseq.predict.predictor import Predictor


@pytest.fixture(scope='module')
def predictor():
    return Predictor(load_trained('configs/upernet_seq2d_nano_shapes.py', None, device='cpu')[1])


@pytest.fixture(scope='module')
def array():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture
def web(monkeypatch):
    """Answers by address, in place of the network."""
    answers = {}

    def fetch(address, largest):
        try:
            return answers[address]
        except KeyError:
            raise download.DownloadError('the server answers 404 Not Found') from None

    monkeypatch.setattr(images, 'fetch_bytes', fetch)
    return answers


def test_all_kinds_are_the_same_image(predictor, array, tmp_path, web):
    Image.fromarray(array).save(tmp_path / 'a.png')
    web['https://host/a.png?token=1'] = (tmp_path / 'a.png').read_bytes()
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    kinds = [tmp_path / 'a.png', str(tmp_path / 'a.png'), Image.fromarray(array), tensor, tensor / 255]
    for image in [*kinds, 'https://host/a.png?token=1', array]:
        found = images.read(image, predictor)
        assert np.array_equal(found.picture, array)
        assert torch.equal(found.data['inputs'], images.read(array, predictor).data['inputs'])


def test_a_camera_that_was_turned(predictor, array, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(array).save(tmp_path / 'a.png', exif=exif)
    with Image.open(tmp_path / 'a.png') as image:
        turned = images.read(image, predictor).picture
    assert np.array_equal(turned, np.rot90(array, -1))
    assert np.array_equal(images.read(tmp_path / 'a.png', predictor).picture, turned)


def test_grey_ones_have_three_channels(predictor, array):
    for image in (array[:, :, 0], torch.from_numpy(array[None, :, :, 0]), Image.fromarray(array[:, :, 0])):
        picture = images.read(image, predictor).picture
        assert np.array_equal(picture, np.repeat(array[:, :, :1], 3, axis=2))


@pytest.mark.parametrize(
    'image, said',
    [
        ('absent.jpg', 'absent.jpg: '),
        ('http://host/a.jpg', 'image http://host/a.jpg: expected a file or an https:// address'),
        ('https://host/b.jpg?token=1', 'image https://host/b.jpg: the server answers 404 Not Found'),
        ('https://host/text.jpg', 'https://host/text.jpg: cannot be decoded'),
        ('tests', "tests: is a folder; give a list of its images, as Path('tests').glob('*.jpg')"),
        (7, 'the seventh: int: an image is a file, an https:// address, a PIL image, an array (H, W, 3) or a tensor'),
        (np.zeros((4, 40, 60), np.uint8), 'the seventh: an array of uint8 of shape (4, 40, 60): expected (H, W, 3)'),
        (np.zeros((40, 60, 3), np.float32), 'the seventh: an array of float32'),
        (torch.zeros(2, 3, 40, 60), 'the seventh: a tensor of shape (2, 3, 40, 60): expected (3, H, W); of a batch'),
        (torch.full((3, 40, 60), 2.0), 'the seventh: a tensor of floats from 2 to 2: expected 0 to 1'),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_named(predictor, web, image, said):
    web['https://host/text.jpg'] = b'no image'
    with pytest.raises(InputError, match=f'^{re.escape(said)}'):
        images.read(image, predictor, 'the seventh')


class Answer(contextlib.nullcontext):
    """Of a server that sends without an end."""

    headers = type('Headers', (), {'get_content_type': lambda self: 'image/jpeg'})()

    def __enter__(self):
        return self

    def read1(self, size):
        return bytes(size)


def test_an_image_without_an_end_is_left(monkeypatch):
    monkeypatch.setattr(download.urllib.request.OpenerDirector, 'open', lambda *_, **__: Answer())
    with pytest.raises(download.DownloadError, match='sends more than 5000000 bytes'):
        download.fetch_bytes('https://host/a.jpg', 5_000_000)
