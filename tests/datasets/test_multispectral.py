"""Images of many channels and 16 bits, from the file to a trained model."""

import json
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseq.datasets import multispectral
from mmseq.datasets.multispectral import LoadMultispectralImage, read_channels
from mmseq.datasets.shapes import generate
from mmseq.engine import launch
from mmseq.errors import InputError
from mmseq.registry import TRANSFORMS

CONFIGS = Path(__file__).parents[2] / 'configs'
needs_tifffile = pytest.mark.skipif(not find_spec('tifffile'), reason='tifffile is not installed (mmseq[tiff])')


def bands(channels, size=(6, 9)):
    return np.random.default_rng(0).integers(0, 2**16, (*size, channels), dtype=np.uint16)


def write(path, image):
    if path.suffix == '.npy':
        np.save(path, image)
    elif path.suffix == '.tif':
        import tifffile

        tifffile.imwrite(path, image)
    else:
        # OpenCV writes blue first.
        assert cv2.imwrite(str(path), image[:, :, [2, 1, 0, 3][: image.shape[2]]])
    return path


@pytest.mark.parametrize(
    'name, channels',
    [('a.npy', 6), ('a.png', 3), ('a.png', 4), pytest.param('a.tif', 6, marks=needs_tifffile)]
    + [pytest.param('a.tif', 4, marks=needs_tifffile)],
)
def test_all_bits_of_all_channels_in_their_order(tmp_path, name, channels):
    image = bands(channels)
    found = LoadMultispectralImage(channels)(dict(img_path=str(write(tmp_path / name, image))))
    assert found['img'].dtype == np.float32
    assert np.array_equal(found['img'], image)
    assert found['img_shape'] == found['ori_shape'] == (6, 9)


@needs_tifffile
def test_bands_one_after_another_and_single_bands(tmp_path):
    image = bands(4, (16, 12))
    assert np.array_equal(read_channels(write(tmp_path / 'a.tif', image.transpose(2, 0, 1))), image)
    assert read_channels(write(tmp_path / 'b.tif', image[:, :, 0])).shape == (16, 12, 1)


def test_normalises_and_picks(tmp_path):
    image = bands(6)
    transform = TRANSFORMS.build(
        dict(type='mmseq.LoadMultispectralImage', channels=6, pick=[5, 0], mean=[100, 200], std=[10, 20])
    )
    found = transform(dict(img_path=str(write(tmp_path / 'a.npy', image))))['img']
    np.testing.assert_allclose(found, (image[:, :, [5, 0]].astype(np.float32) - [100, 200]) / [10, 20], rtol=1e-6)


def test_what_is_refused(tmp_path, monkeypatch):
    path = str(write(tmp_path / 'a.npy', bands(6)))
    with pytest.raises(InputError, match=r'a\.npy: has 6 channels, the config says 4'):
        LoadMultispectralImage(4)(dict(img_path=path))
    with pytest.raises(InputError, match='pick asks for number 6'):
        LoadMultispectralImage(pick=[6])(dict(img_path=path))
    with pytest.raises(InputError, match='mean and std have 2 numbers'):
        LoadMultispectralImage(mean=[0, 0], std=[1, 1])(dict(img_path=path))
    for mean, std in (([1], None), ([1], [0]), ([1], [1, 1])):
        with pytest.raises(ValueError, match='std'):
            LoadMultispectralImage(mean=mean, std=std)
    (tmp_path / 'b.npy').write_bytes(b'torn')
    (tmp_path / 'b.png').write_bytes(b'torn')
    np.save(tmp_path / 'c.npy', np.zeros((1, 2, 3, 4)))
    for name in ('b.npy', 'b.png', 'c.npy', 'gone.npy'):
        with pytest.raises(InputError, match=name):
            read_channels(tmp_path / name)
    monkeypatch.setattr(multispectral, 'find_spec', lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'mmseq\[tiff\]'"):
        read_channels(tmp_path / 'a.tif')


def make_bands(root, channels, suffix):
    """The shapes data set with its pictures as 16-bit images of so many channels."""
    generate(root / 'shapes', train=4, val=2, seed=0)
    for path in [*root.glob('shapes/ade/*/images/*/*.*'), *root.glob('shapes/coco/*2017/*.*')]:
        rgb = np.asarray(Image.open(path).convert('RGB')).astype(np.uint16) * 257
        path.unlink()
        write(path.with_suffix(suffix), np.concatenate([rgb, 65535 - rgb], axis=2)[:, :, :channels])
    for path in root.glob('shapes/coco/annotations/*.json'):
        content = json.loads(path.read_text())
        for image in content['images']:
            image['file_name'] = str(Path(image['file_name']).with_suffix(suffix))
        path.write_text(json.dumps(content))


@pytest.mark.parametrize('task, channels, suffix', [('seg', 6, '.npy'), ('det', 4, '.png')])
def test_from_files_to_predictions(tmp_path, monkeypatch, task, channels, suffix):
    """The example of docs/recipes.md: data check, training, validation, test and pictures."""
    make_bands(tmp_path, channels, suffix)
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path))
    text = (CONFIGS.parent / 'docs' / 'recipes.md').read_text()
    block = next(b for b in text.split('```python\n')[1:] if f'# {task}: ' in b).split('```')[0]
    block = block.replace("'configs/", f"'{CONFIGS}/")
    block = block.replace('CHANNELS = 6', f'CHANNELS = {channels}').replace("'.npy'", f"'{suffix}'")
    config = tmp_path / f'{task}.py'
    config.write_text(block)
    options = {
        'train_dataloader.batch_size': 2,
        'train_cfg': dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
        if task == 'seg'
        else dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1),
        'default_hooks.checkpoint.interval': 1,
    }
    launch.train(str(config), options=options, work_dir=str(tmp_path / 'out'))
    checkpoint = tmp_path / 'out' / ('iter_2.pth' if task == 'seg' else 'epoch_1.pth')
    found = launch.evaluate(
        str(config),
        str(checkpoint),
        work_dir=str(tmp_path / 'test'),
        show_dir=str(tmp_path / 'pictures'),
    )
    assert found
    assert len(list((tmp_path / 'pictures').glob('*.png'))) == 2
