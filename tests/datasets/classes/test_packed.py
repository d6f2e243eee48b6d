"""Samples of packed arrays and of files: sizes, labels, and augmentation that the seed alone decides."""

import numpy as np
import pytest
import torch

from mmseq.datasets.classes.packed import ClassImages, PackedImages, random_crop
from mmseq.datasets.classes.packing import pack
from mmseq.datasets.classes.sources import read_classes
from mmseq.engine.loader import seed_all
from mmseq.errors import InputError
from tests.datasets.classes.folders import class_folders


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('classes')
    pack(read_classes(str(class_folders(folder / 'data'))), 36, folder / 'packed', lambda text: None)
    return folder


def augmented(root, seed):
    data = PackedImages(str(root / 'packed'), 'train', 32, scale=(0.3, 1.0), flip=0.5, jitter=0.4)
    seed_all(seed)
    return [data[i]['inputs'] for i in range(len(data))]


def test_samples_of_packed_images(root):
    data = PackedImages(str(root / 'packed'), 'val', 36)
    assert (len(data), data.metainfo) == (12, dict(classes=['c0', 'c1', 'c2']))
    sample = data[5]
    assert sample['labels'] == 1
    assert np.array_equal(sample['inputs'].numpy(), np.load(root / 'packed' / 'val.npy')[5])
    assert PackedImages(str(root / 'packed'), 'val', 48)[0]['inputs'].shape == (48, 48, 3)


def test_augmentation_is_the_seeds(root):
    first, again, other = (augmented(root, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not any(torch.equal(a, b) for a, b in zip(first, other))
    assert {tuple(image.shape) for image in first} == {(32, 32, 3)}


def test_crops_stay_within_the_image_and_have_the_areas_asked_for():
    image = np.arange(40 * 60).reshape(40, 60)
    crops = [random_crop(image, 0.25, 1.0) for _ in range(300)]
    areas = np.array([crop.size for crop in crops]) / image.size
    assert 0.2 < areas.min() < 0.35
    assert areas.max() > 0.85
    assert len({crop[0, 0] for crop in crops}) > 100
    ratios = np.array([crop.shape[1] / crop.shape[0] for crop in crops if crop.shape[0] < 40])
    assert ratios.min() > 0.7
    assert ratios.max() < 1.4


def test_what_is_mapped_stays(root):
    before = np.load(root / 'packed' / 'train.npy')
    PackedImages(str(root / 'packed'), 'train', 36)[0]['inputs'].zero_()
    assert np.array_equal(np.load(root / 'packed' / 'train.npy'), before)


def test_a_part_that_is_not_there(root, tmp_path):
    with pytest.raises(InputError, match='remove the folder and pack again'):
        PackedImages(str(tmp_path), 'train', 32)


@pytest.mark.parametrize('training', [True, False])
def test_files_through_timm(root, training):
    pytest.importorskip('timm')
    step = dict(type='mmseq.TimmAugment', image_size=32, training=training)
    data = ClassImages(str(root / 'data'), 'val', [step])
    sample = data[4]
    assert (len(data), data.metainfo['classes']) == (12, ['c0', 'c1', 'c2'])
    assert (sample['labels'], sample['inputs'].shape, sample['inputs'].dtype) == (1, (32, 32, 3), torch.uint8)
    assert sample['inputs'].float().mean((0, 1)).argmax() == 1
