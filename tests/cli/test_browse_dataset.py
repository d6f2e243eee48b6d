"""tools/browse_dataset.py from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmseq.cli.browse_dataset import main
from mmseq.cli.make_shapes import main as make_shapes
from mmseq.errors import InputError
from mmseq.pictures.browse import Browser

SEGMENTOR = 'configs/upernet_seq2d_nano_shapes.py'
DETECTOR = 'configs/mask_rcnn_seq2d_nano_shapes.py'


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    make_shapes([str(folder / 'shapes'), '--train', '6', '--val', '3'])
    return folder


@pytest.fixture
def data(shapes, monkeypatch):
    monkeypatch.setenv('MMSEQ_DATA', str(shapes))
    return shapes


def run(tmp_path, config, *options):
    assert main([config, '--work-dir', str(tmp_path), *options]) == 0
    (path,) = tmp_path.glob('browse_*.json')
    found = json.loads(path.read_text())
    pictures = [Image.open(path.with_suffix('') / shown['picture']) for shown in found['shown']]
    # Small ones are enlarged.
    for picture, shown in zip(pictures, found['shown'], strict=True):
        times = picture.width // shown['width']
        assert picture.size == (times * shown['width'], times * shown['height'])
        assert (times > 1) == (max(shown['width'], shown['height']) <= 240)
    assert Image.open(path.with_suffix('.png')).size[0] > 400
    return found


def test_instances_as_they_are_are_those_of_the_file(tmp_path, data, capsys):
    found = run(tmp_path, DETECTOR, '--split', 'val', '--raw')
    truth = json.loads((data / 'shapes/coco/annotations/instances_val2017.json').read_text())
    names = {category['id']: category['name'] for category in truth['categories']}
    counts = dict.fromkeys(names.values(), 0)
    for annotation in truth['annotations']:
        counts[names[annotation['category_id']]] += 1
    assert {row['name']: row['instances'] for row in found['classes']} == counts
    assert found['samples'] == len(found['shown']) == 3
    sizes = {(image['height'], image['width']) for image in truth['images']}
    assert {(shown['height'], shown['width']) for shown in found['shown']} == sizes
    assert 'val data: 3 samples, 3 of them drawn' in capsys.readouterr().out


def test_label_maps_behind_the_whole_pipeline(tmp_path, data):
    found = run(tmp_path, SEGMENTOR, '-n', '4')
    # The crop of the config, or what there was of it.
    assert all(max(shown['height'], shown['width']) == 128 for shown in found['shown'])
    assert [shown['index'] for shown in found['shown']] == [0, 1, 3, 4]
    assert sum(row['of_pixels'] for row in found['classes']) == pytest.approx(1)
    assert found['classes'][0]['name'] == 'background'
    assert found['classes'][0]['images'] == 4
    assert 'instances' not in found['classes'][0]


def test_augmentations_are_seeded_and_pictures_replaced(tmp_path, data):
    folder = tmp_path / 'browse_train'

    def pictures():
        return {path.name: np.array(Image.open(path)) for path in sorted(folder.glob('*.png'))}

    run(tmp_path, SEGMENTOR, '-n', '2')
    first = pictures()
    run(tmp_path, SEGMENTOR, '-n', '2')
    again = pictures()
    run(tmp_path, SEGMENTOR, '-n', '1', '--seed', '1')
    other = pictures()
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert list(other) == list(first)[:1]
    assert not np.array_equal(first[next(iter(other))], other[next(iter(other))])


def test_pictures_are_red_first_and_drawn_on(data):
    browser = Browser(Config.fromfile(DETECTOR), 'val', raw=True)
    sample = browser[0]
    path = next((data / 'shapes/coco/val2017').glob(f'{sample.name}.*'))
    assert np.array_equal(sample.picture, np.array(Image.open(path).convert('RGB')))
    drawn = browser.draw(sample)
    times = drawn.shape[0] // sample.picture.shape[0]
    drawn = drawn[times // 2 :: times, times // 2 :: times]
    changed = (drawn != sample.picture).any(2)
    assert changed[sample.objects.masks.any(0)].mean() > 0.9
    assert sample.objects.masks.shape == (len(sample.objects), *drawn.shape[:2])


def test_many_channels_and_floats(tmp_path, data):
    cfg = Config.fromfile(SEGMENTOR)
    source = next((data / 'shapes/ade/ADEChallengeData2016/images/validation').iterdir())
    image = np.array(Image.open(source).convert('RGB'))
    folder = tmp_path / 'images'
    folder.mkdir()
    np.save(folder / f'{source.stem}.npy', np.concatenate([image, image], 2).astype(np.uint16) * 50)
    dataset = cfg.val_dataloader.dataset
    dataset.img_suffix, dataset.data_prefix.img_path = '.npy', str(folder)
    dataset.pipeline[0] = dict(type='mmseq.LoadMultispectralImage', channels=6, mean=[6000] * 6, std=[3000] * 6)
    browser = Browser(cfg, 'val')
    picture = browser.draw(browser[0])
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert picture.std() > 20


def test_crowds_are_drawn_as_ignored(data, tmp_path):
    cfg = Config.fromfile(DETECTOR)
    truth = json.loads((data / 'shapes/coco/annotations/instances_val2017.json').read_text())
    for annotation in truth['annotations']:
        annotation['iscrowd'] = 1
    path = tmp_path / 'crowds.json'
    path.write_text(json.dumps(truth))
    cfg.val_dataloader.dataset.ann_file = str(path)
    sample = Browser(cfg, 'val')[0]
    assert len(sample.objects) == 0
    assert len(sample.ignored) > 0


def test_bad_input_is_one_line(tmp_path, data, monkeypatch):
    options = ['--work-dir', str(tmp_path)]
    with pytest.raises(InputError, match='--num and --columns begin at 1'):
        main([SEGMENTOR, *options, '--num', '0'])
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path / 'nothing'))
    with pytest.raises(InputError, match='train data: .*; put the data there or set MMSEQ_DATA'):
        main([DETECTOR, *options])
    cfg = Config.fromfile(SEGMENTOR)
    cfg.val_dataloader = None
    with pytest.raises(InputError, match='has no val_dataloader'):
        Browser(cfg, 'val')


def test_a_damaged_file_is_named(tmp_path, data):
    cfg = Config.fromfile(SEGMENTOR)
    images = data / 'shapes/ade/ADEChallengeData2016/images/validation'
    folder = tmp_path / 'images'
    folder.mkdir()
    for path in images.iterdir():
        (folder / path.name).write_bytes(b'no picture')
    cfg.val_dataloader.dataset.data_prefix.img_path = str(folder)
    with pytest.raises(InputError, match='sample 0: .*mmseq check-data --all'):
        Browser(cfg, 'val')[0]


def test_real_pictures(tmp_path, real_data, monkeypatch):
    monkeypatch.setenv('MMSEQ_DATA', str(real_data))
    found = run(tmp_path, 'configs/mask_rcnn_vil_t_coco.py', '-n', '3')
    assert sum(row['instances'] for row in found['classes']) > 0
    assert len(found['classes']) == 80
    # 800 x 1333 at most, mostly reached.
    assert all(max(shown['height'], shown['width']) > 800 for shown in found['shown'])
    assert Path(tmp_path / 'browse_train').is_dir()
