"""Panoptic annotations of the embedded data, read and evaluated by mmdet."""

import json

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image
from pycocotools.coco import COCO

from mmseq.cli import make_shapes
from mmseq.compat.panoptic_api.quality import rgb2id
from mmseq.datasets.shapes import SHAPES_CLASSES
from mmseq.datasets.shapes_panoptic import BACKGROUND, STUFF, write_panoptic
from mmseq.errors import InputError


@pytest.fixture(scope='module')
def coco(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'shapes'
    # The fourth picture has a crowd.
    make_shapes.main([str(root), '--train', '4', '--val', '2', '--size', '64', '96', '--panoptic'])
    return root / 'coco'


def segments_of(coco, half):
    content = json.loads((coco / f'annotations/panoptic_{half}.json').read_text())
    for entry in content['annotations']:
        with Image.open(coco / f'annotations/panoptic_{half}' / entry['file_name']) as picture:
            yield entry, rgb2id(np.asarray(picture))


def test_segments_are_the_instances_and_the_background(coco):
    instances = COCO(coco / 'annotations/instances_train2017.json')
    crowds = 0
    for entry, ids in segments_of(coco, 'train2017'):
        name = f'ade/ADEChallengeData2016/annotations/training/{entry["file_name"]}'
        labels = np.asarray(Image.open(coco.parent / name))
        assert np.array_equal(ids == 0, labels == 0)
        stuff, *things = entry['segments_info']
        assert stuff['category_id'] == STUFF['id']
        assert np.array_equal(ids == stuff['id'], labels == BACKGROUND)
        expected = instances.imgToAnns[entry['image_id']]
        assert len(things) == len(expected)
        for segment, instance in zip(things, expected, strict=True):
            assert {key: segment[key] for key in ('category_id', 'iscrowd', 'bbox', 'area')} == {
                key: instance[key] for key in ('category_id', 'iscrowd', 'bbox', 'area')
            }
            assert np.array_equal(ids == segment['id'], instances.annToMask(instance).astype(bool))
            crowds += segment['iscrowd']
    assert crowds == 1


def test_writing_again_gives_the_same_and_leaves_nothing_else(coco):
    before = {path.relative_to(coco): path.read_bytes() for path in coco.rglob('*') if path.is_file()}
    write_panoptic(coco.parent)
    assert {path.relative_to(coco): path.read_bytes() for path in coco.rglob('*') if path.is_file()} == before


def test_nowhere_is_one_line(tmp_path):
    with pytest.raises(InputError, match='holds no shapes data set'):
        write_panoptic(tmp_path)


def quality(coco, change):
    """What mmdet's metric says of the truth as prediction, after `change` of each map of labels and instances."""
    from mmdet.datasets import CocoPanopticDataset
    from mmdet.evaluation import INSTANCE_OFFSET, CocoPanopticMetric

    meta = dict(classes=(*SHAPES_CLASSES, 'background'), thing_classes=SHAPES_CLASSES, stuff_classes=('background',))
    with DefaultScope.overwrite_default_scope('mmdet'):
        data = CocoPanopticDataset(
            data_root=str(coco),
            ann_file='annotations/panoptic_val2017.json',
            data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
            metainfo=meta,
            test_mode=True,
        )
        metric = CocoPanopticMetric(
            ann_file=str(coco / 'annotations/panoptic_val2017.json'),
            seg_prefix=str(coco / 'annotations/panoptic_val2017'),
        )
    metric.dataset_meta = data.metainfo
    for index, (entry, ids) in enumerate(segments_of(coco, 'val2017')):
        info = data.get_data_info(index)
        map_ = np.full_like(ids, len(meta['classes']))
        for number, segment in enumerate(entry['segments_info']):
            map_[ids == segment['id']] = segment['category_id'] - 1 + number * INSTANCE_OFFSET
        sample = dict(img_id=info['img_id'], ori_shape=ids.shape, img_path=info['img_path'])
        sample['pred_panoptic_seg'] = dict(sem_seg=torch.from_numpy(change(map_))[None])
        sample |= dict(segments_info=info['segments_info'], seg_map_path=info['seg_map_path'])
        metric.process({}, [sample])
    return metric.evaluate(len(data))


def test_panoptic_quality_of_the_truth_is_100(coco):
    found = quality(coco, lambda ids: ids)
    assert {found[f'coco_panoptic/{name}'] for name in ('PQ', 'SQ', 'RQ', 'PQ_th', 'PQ_st')} == {100.0}


def test_panoptic_quality_falls_with_what_is_missed(coco):
    # Everything is background: no thing is found.
    found = quality(coco, lambda ids: np.full_like(ids, STUFF['id'] - 1))
    assert found['coco_panoptic/PQ_th'] == 0
    assert 0 < found['coco_panoptic/PQ_st'] < 100
