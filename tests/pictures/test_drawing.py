"""Overlays: what is coloured, what stays, and where names stand."""

import numpy as np
import pytest

from mmseq.pictures.drawing import draw, free_place
from mmseq.pictures.masks import Masks
from mmseq.pictures.prediction import Instances, Prediction

CLASSES = ('sky', 'sea')
PALETTE = np.array([[200, 0, 0], [0, 0, 200]], np.uint8)
GREY = np.full((80, 120, 3), 100, np.uint8)


def test_areas_take_their_colour_by_the_opacity():
    labels = np.zeros((80, 120), np.uint8)
    labels[:, 60:] = 1
    labels[:10] = 255
    drawn = draw(Prediction(GREY, labels=labels), CLASSES, PALETTE, opacity=0.5, names=False)
    assert drawn[40, 20].tolist() == [150, 50, 50]
    assert drawn[40, 100].tolist() == [50, 50, 150]
    # Behind the last class there is nothing to be seen.
    assert drawn[4, 20].tolist() == [100, 100, 100]
    # The line between two areas.
    assert drawn[40, 60].min() > 150
    assert (GREY == 100).all()


def test_tall_pictures_are_coloured_strip_by_strip(monkeypatch):
    labels = np.random.default_rng(0).integers(0, 3, (80, 120)).astype(np.uint8)
    at_once = draw(Prediction(GREY, labels=labels), CLASSES, PALETTE)
    monkeypatch.setattr('mmseq.pictures.drawing.STRIP', 7)
    assert np.array_equal(draw(Prediction(GREY, labels=labels), CLASSES, PALETTE), at_once)


def test_opacity_from_nothing_to_all():
    labels = np.ones((80, 120), np.uint8)
    assert np.array_equal(draw(Prediction(GREY, labels=labels), CLASSES, PALETTE, 0, names=False), GREY)
    assert (draw(Prediction(GREY, labels=labels), CLASSES, PALETTE, 1, names=False) == PALETTE[1]).all()


def test_names_stand_in_their_area():
    labels = np.zeros((80, 120), np.uint8)
    labels[:, 60:] = 1
    prediction = Prediction(GREY, labels=labels)
    changed = draw(prediction, CLASSES, PALETTE) != draw(prediction, CLASSES, PALETTE, names=False)
    places = np.flatnonzero(changed.any(2).any(0))
    assert places.min() > 5
    assert places.max() < 115
    assert len(set(places // 60)) == 2


def test_names_of_two_lines_stand_in_one():
    labels = np.zeros((80, 120), np.uint8)
    prediction = Prediction(GREY, labels=labels)
    drawn = draw(prediction, ('a\nb', 'sea'), PALETTE)
    assert np.array_equal(drawn, draw(prediction, ('a b', 'sea'), PALETTE))


def instance(box, score=0.9, mask=None):
    masks = None if mask is None else Masks.of([mask], mask.shape)
    return Instances(np.array([box], np.float32), np.array([1]), np.array([score], np.float32), masks)


def test_masks_and_boxes():
    mask = np.zeros((80, 120), bool)
    mask[30:50, 30:70] = True
    drawn = draw(Prediction(GREY, instance((20, 20, 80, 60), mask=mask)), CLASSES, PALETTE, names=False)
    assert drawn[40, 50].tolist() == [50, 50, 150]
    # Lines have soft edges.
    assert drawn[20, 50].max() > 180
    assert drawn[25, 50].tolist() == [100, 100, 100]
    assert drawn[10, 10].tolist() == [100, 100, 100]
    named = draw(Prediction(GREY, instance((20, 20, 80, 60))), CLASSES, PALETTE)
    # Above the box, from its left end on.
    assert (named[8:18, 24:40] != 100).any()
    assert (named[:, 85:] == 100).all()


@pytest.mark.parametrize('box', [(-20, -5, 300, 200), (0, 0, 0, 0), (119, 79, 120, 80)])
def test_boxes_anywhere(box):
    empty = np.zeros((80, 120), bool)
    assert draw(Prediction(GREY, instance(box, mask=empty)), CLASSES, PALETTE).shape == GREY.shape


def test_nothing_found_is_the_picture():
    none = Instances(np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, np.float32), None)
    assert np.array_equal(draw(Prediction(GREY, none), CLASSES, PALETTE), GREY)


def test_panoptic_segments_hide_instances():
    ids = np.full((80, 120), 1001)
    prediction = Prediction(GREY, instance((20, 20, 80, 60)), panoptic=ids)
    assert draw(prediction, CLASSES, PALETTE, names=False)[20, 50].tolist() == [50, 50, 150]


def test_a_taken_place_is_left_for_the_next():
    places = [(10, 20, 0, 1), (10, 20, 0, 0), (0, 0, 0, 0)]
    first = free_place(places, (30, 10), (120, 80), [])
    assert first == (10, 10, 40, 20)
    second = free_place(places, (30, 10), (120, 80), [first])
    assert second == (10, 20, 40, 30)
    # All taken: the best one, on top.
    assert free_place(places, (30, 10), (120, 80), [(0, 0, 120, 80)]) == first
    assert free_place([(200, 200, 0, 0)], (30, 10), (120, 80), []) == (90, 70, 120, 80)
