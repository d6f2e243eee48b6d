"""Masks as run lengths are the masks, wherever they lie, and are COCO's."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmseq.pictures.masks import Masks, union

SIZE = (11, 7)


def several():
    """Noise, nothing, everything, single pixels at the corners, whole columns and rows."""
    noise = np.random.default_rng(0).random((5, *SIZE)) > np.linspace(0.05, 0.95, 5)[:, None, None]
    shapes = np.zeros((6, *SIZE), bool)
    shapes[1] = True
    shapes[2, 0, 0] = shapes[3, -1, -1] = True
    shapes[4, :, 2:5] = shapes[5, 3:6, :] = True
    return np.concatenate([noise, shapes])


def test_there_and_back():
    masks = several()
    found = Masks.of(masks, SIZE)
    assert found.shape == masks.shape
    assert np.array_equal(np.asarray(found), masks)
    assert found.areas.tolist() == masks.sum((1, 2)).tolist()
    assert np.array_equal(np.asarray(found.take(masks[:, 0, 0])), masks[masks[:, 0, 0]])
    assert np.array_equal(np.asarray(found[2:4]), masks[2:4])
    for (left, top, right, bottom), mask in zip(found.boxes.astype(int), masks):
        assert mask.sum() == mask[top:bottom, left:right].sum()
        assert not mask.any() or (mask[[top, bottom - 1]].any(1).all() and mask[:, [left, right - 1]].any(0).all())


def test_they_are_cocos():
    for coded, mask in zip(Masks.of(several(), SIZE), several(), strict=True):
        truth = coco_mask.encode(np.asfortranarray(mask, np.uint8))
        assert json.loads(json.dumps(coded)) == dict(size=list(SIZE), counts=truth['counts'].decode())
        assert np.array_equal(coco_mask.decode(coded), mask)


@pytest.mark.parametrize('place', [(0, 0), (3, 5), (13, 9)])
def test_a_tile_in_its_image(place):
    left, top = place
    moved = Masks.of(several(), SIZE).moved(left, top, (20, 20))
    truth = np.zeros((len(several()), 20, 20), bool)
    truth[:, top : top + 11, left : left + 7] = several()
    assert np.array_equal(np.asarray(moved), truth)


def test_a_union():
    for some in (several()[:3], several()[[0, 5]], several()[5:6]):
        assert np.array_equal(np.asarray(Masks([union(Masks.of(some, SIZE))], SIZE))[0], some.any(0))


def test_they_are_small():
    mask = np.zeros((4000, 6000), bool)
    mask[1000:1500, 2000:2600] = True
    assert Masks.of([mask], mask.shape).edges[0].nbytes < 10_000
