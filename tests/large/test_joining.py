"""Objects planted on seams are one object each, whatever they lie beside."""

import numpy as np
import pytest

from mmseq.large.joining import join
from mmseq.large.tiles import Tiles
from mmseq.pictures.masks import Masks
from mmseq.pictures.prediction import Instances

SIZE = (300, 500)
TILES = Tiles(128, 0.25)
# Left, top, right, bottom, class: within a tile, within an overlap, across one border, across a crossing of four tiles,
# longer than two tiles, small before large, side by side, and at the image's own borders.
OBJECTS = {
    'inside': (20, 20, 60, 50, 0),
    'in an overlap': (99, 10, 120, 40, 0),
    'across a seam': (80, 60, 170, 90, 0),
    'across a crossing': (90, 90, 140, 140, 1),
    'long': (10, 200, 450, 220, 0),
    'large': (200, 20, 330, 180, 1),
    'small before it': (205, 40, 225, 60, 1),
    'another before it': (290, 100, 330, 140, 0),
    'beside': (340, 20, 360, 60, 1),
    'and beside': (364, 20, 384, 60, 1),
    'at the end': (440, 240, 500, 300, 2),
}


def seen(place, objects, scores, jitter=0.0, masks=True):
    """A perfect detector's words on a tile: what it shows of each object, if that is not a sliver."""
    left, top, right, bottom = place
    noise = np.random.default_rng(int(sum(place)))
    boxes, labels, found = [], [], []
    for (x0, y0, x1, y1, label), score in zip(objects, scores):
        box = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
        if box[2] - box[0] < 3 or box[3] - box[1] < 3:
            continue
        boxes.append(np.array(box) + noise.uniform(-jitter, jitter, 4))
        labels.append(label)
        found.append((score, box))
    whole = np.zeros((len(found), *SIZE), bool)
    for mask, (_, (x0, y0, x1, y1)) in zip(whole, found):
        mask[y0:y1, x0:x1] = True
    values = np.array([score for score, _ in found], np.float32)
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Instances(array, np.array(labels, int), values, Masks.of(whole, SIZE) if masks else None)


def joined(objects, tiles=TILES, **options):
    places = tiles.places(*SIZE)
    scores = np.linspace(0.9, 0.5, len(objects))
    return join([seen(place, objects, scores, **options) for place in places.tolist()], places, SIZE)


def matches(found, objects, tolerance):
    """The place of each object among what was found."""
    truth = np.array([one[:4] for one in objects])
    near = np.abs(truth[:, None] - found.boxes).max(-1) <= tolerance
    same = np.array([one[4] for one in objects])[:, None] == found.labels
    return [np.flatnonzero(row) for row in near & same]


@pytest.mark.parametrize('jitter', [0.0, 1.0])
@pytest.mark.parametrize('tiles', [TILES, Tiles(128, 0.5), Tiles(200, 0.1), Tiles(97, 0.3)], ids=str)
def test_each_object_is_found_once(tiles, jitter):
    objects = list(OBJECTS.values())
    found = joined(objects, tiles, jitter=jitter)
    assert [len(places) for places in matches(found, objects, 1 + 2 * jitter)] == [1] * len(objects)
    assert len(found) == len(objects)
    assert (np.diff(found.scores) <= 0).all()


def test_masks_are_joined_too():
    objects = list(OBJECTS.values())
    found = joined(objects)
    masks = np.asarray(found.masks)
    for (left, top, right, bottom, _), places in zip(objects, matches(found, objects, 1)):
        truth = np.zeros(SIZE, bool)
        truth[top:bottom, left:right] = True
        assert np.array_equal(masks[places[0]], truth)
    assert joined(objects, masks=False).masks is None


def test_a_whole_view_is_kept_as_it_is():
    """Of an object that one tile shows whole, neither box nor mask grows by what others show of it."""
    places = Tiles(128, 0.5).places(128, 192)
    assert places[:, 0].tolist() == [0, 64]
    boxes = [[[70, 10, 110, 60]], [[74, 12, 112, 58]]]
    found = [
        Instances(np.array(box, np.float32), np.zeros(1, int), np.array([score]), None)
        for box, score in zip(boxes, (0.9, 0.8))
    ]
    one = join(found, places, (128, 192))
    assert one.boxes.tolist() == boxes[0]
    assert one.scores.tolist() == [0.9]


def test_a_sliver_is_left_to_the_tile_that_shows_more():
    """Also where that tile takes it for something else, or for nothing."""
    places = Tiles(128, 0.5).places(128, 192)
    sliver = Instances(np.array([[64, 10, 90, 60]], np.float32), np.array([1]), np.array([0.9]), None)
    whole = Instances(np.array([[20, 10, 90, 60]], np.float32), np.array([0]), np.array([0.6]), None)
    assert join([whole, sliver], places, (128, 192)).boxes.tolist() == [[20, 10, 90, 60]]
    assert len(join([whole.take(np.zeros(0, int)), sliver], places, (128, 192))) == 0


def test_nothing_and_next_to_nothing():
    assert len(joined([])) == 0
    assert len(joined([], masks=False)) == 0
    assert len(joined([OBJECTS['inside']])) == 1


def test_sides_of_two_objects_that_meet_at_a_seam():
    objects = [(20, 20, 110, 60, 0), (112, 20, 220, 60, 0)]
    found = joined(objects)
    assert [len(places) for places in matches(found, objects, 1)] == [1, 1]
    assert len(found) == 2


def test_an_object_takes_one_detection_from_each_tile():
    """Two that a tile tells apart stay two, though both agree with one of the next tile."""
    places = Tiles(128, 0.5).places(128, 192)
    two = np.array([[70, 10, 110, 60], [70, 22, 110, 72]], np.float32)
    one = np.array([[70, 14, 110, 64]], np.float32)
    found = [
        Instances(two, np.zeros(2, int), np.array([0.9, 0.8]), None),
        Instances(one, np.zeros(1, int), np.array([0.7]), None),
    ]
    assert join(found, places, (128, 192)).boxes.tolist() == two.tolist()
