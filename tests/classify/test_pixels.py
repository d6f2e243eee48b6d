"""Images reach a classifier as its authors' evaluation gives them, in their order, and bad ones are named."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmseq.classify.pixels import CROPS, MEAN, STD, Pixels
from mmseq.errors import InputError
from mmseq.timm import default_cfgs


def saved(folder, name, shape, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return folder / name


@pytest.mark.parametrize('size,crop', [(224, 0.875), (64, 1.0), (100, 0.9)])
def test_pixels_are_timms(tmp_path, size, crop):
    timm = pytest.importorskip('timm')
    path = saved(tmp_path, 'a.png', (83, 140))
    config = dict(input_size=(3, size, size), crop_pct=crop, interpolation='bicubic', mean=MEAN, std=STD)
    theirs = timm.data.create_transform(**config)(Image.open(path))
    torch.testing.assert_close(Pixels(size, crop).read(path), theirs)


def test_timm_is_told_the_same():
    for family, crop in CROPS.items():
        config = default_cfgs[f'mmseq_{family}_nano'].default
        assert (config.crop_pct, config.mean, config.std) == (crop, MEAN, STD)


def test_batches_keep_the_order(tmp_path):
    paths = [saved(tmp_path, f'{i}.png', (40 + i, 50), seed=i) for i in range(5)]
    pixels = Pixels(32, 1.0)
    batches = list(pixels.batches(paths, 2, 3))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert torch.equal(torch.cat(batches), torch.stack([pixels.read(path) for path in paths]))


def test_what_is_no_image_is_named(tmp_path):
    (tmp_path / 'b.jpg').write_bytes(b'no image')
    whole = saved(tmp_path, 'a.jpg', (400, 400))
    (tmp_path / 'c.jpg').write_bytes(whole.read_bytes()[:2000])
    for name in ('b.jpg', 'c.jpg', 'd.jpg'):
        with pytest.raises(InputError, match=rf'{name}: cannot be read as an image'):
            list(Pixels(32, 1.0).batches([whole, tmp_path / name], 2, 2))
