"""Packed images are those of the files, are written whole or not at all, and are found again."""

import json

import numpy as np
import pytest
from PIL import Image

from mmseq.datasets.classes.packing import is_packed, pack, read_packed, square
from mmseq.datasets.classes.sources import read_classes
from mmseq.errors import InputError
from tests.datasets.classes.folders import class_folders, picture


def packed(tmp_path, root=None, side=36):
    told = []
    root = root or class_folders(tmp_path / 'data')
    return pack(read_classes(str(root)), side, tmp_path / 'packed', told.append), told


def test_pixels_and_labels(tmp_path):
    found, told = packed(tmp_path)
    assert found == read_packed(tmp_path / 'packed')
    assert (found.names, found.side, found.counts) == (('c0', 'c1', 'c2'), 36, dict(train=24, val=12))
    pixels, labels = (np.load(tmp_path / 'packed' / f'train{name}.npy') for name in ('', '_labels'))
    assert pixels.shape == (24, 36, 36, 3)
    assert labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert np.array_equal(pixels[8], np.asarray(picture(1, 0))[:, 2:38])
    assert told == [f'packed 24 + 12 images of 36 px into {tmp_path / "packed"}']


def test_the_middle_is_kept_at_the_side():
    image = Image.fromarray(np.arange(20, dtype=np.uint8)[None, :, None].repeat(10, 0).repeat(3, 2) * 10)
    assert np.asarray(square(image, 10))[0, :, 0].tolist() == list(range(50, 150, 10))
    assert square(image, 5).size == (5, 5)
    assert square(image.crop((0, 0, 10, 10)), 10).size == (10, 10)


def test_the_same_files_are_packed_once(tmp_path):
    root = class_folders(tmp_path / 'data')
    before, _ = packed(tmp_path, root)
    assert packed(tmp_path, root) == (before, [f'packed data of 36 px found in {tmp_path / "packed"}'])
    picture(1, 5, (50, 50)).save(root / 'train' / 'c0' / 'new.png')
    after, _ = packed(tmp_path, root)
    assert after.counts['train'] == 25
    assert packed(tmp_path, root, side=32)[0].side == 32


def test_damaged_files_are_counted_and_named(tmp_path):
    root = class_folders(tmp_path / 'data', train=20)
    torn = root / 'train' / 'c1' / '1_3.png'
    torn.write_bytes(torn.read_bytes()[:200])
    found, told = packed(tmp_path, root)
    assert found.counts == dict(train=59, val=12)
    assert len(found.damaged) == 1
    assert found.damaged[0].startswith(f'{torn}: ')
    assert f'; 1 damaged files left out: {torn}: ' in told[0]
    pixels, labels = (np.load(tmp_path / 'packed' / f'train{name}.npy') for name in ('', '_labels'))
    assert len(pixels) == 59
    assert labels.tolist() == [0] * 20 + [1] * 19 + [2] * 20
    # Behind the gap, too, labels are those of their images.
    assert (pixels.mean((1, 2)).argmax(1) == labels).all()


def test_too_many_damaged_files_leave_nothing_behind(tmp_path):
    root = class_folders(tmp_path / 'data')
    for path in (root / 'train' / 'c1').iterdir():
        path.write_bytes(b'no image')
    with pytest.raises(InputError, match=r'data: 8 of 36 files are damaged, first .*1_0.png'):
        packed(tmp_path, root)
    assert list(tmp_path.iterdir()) == [root]


def test_a_folder_of_something_else_stays(tmp_path):
    root = class_folders(tmp_path / 'data')
    (tmp_path / 'packed').mkdir()
    (tmp_path / 'packed' / 'thesis.tex').write_text('')
    with pytest.raises(InputError, match='packed: is there, and no packed data; name another folder'):
        packed(tmp_path, root)
    assert not is_packed(tmp_path / 'packed')


def test_a_note_that_is_none(tmp_path):
    (tmp_path / 'packed.json').write_text(json.dumps(dict(classes=['a', 'b'])))
    with pytest.raises(InputError, match="packed.json: has no 'damaged'; remove the folder and pack again"):
        read_packed(tmp_path)
