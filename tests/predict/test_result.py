"""What a program gets of a prediction."""

import io
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmseq.errors import InputError
from mmseq.pictures.masks import Masks
from mmseq.pictures.prediction import INSTANCE_OFFSET, Instances, Prediction
from mmseq.predict.result import Result

CLASSES = ('cat', '<dog>')
PALETTE = np.array([(255, 0, 0), (0, 0, 255)], np.uint8)
PICTURE = np.zeros((30, 40, 3), np.uint8)


@pytest.fixture
def detected():
    masks = np.zeros((2, 30, 40), bool)
    masks[0, 5:10, 5:20] = masks[1, 20:25, 0:10] = True
    boxes = np.array([[5, 5, 20, 10], [0, 20, 10, 25]], np.float32)
    found = Instances(boxes, np.array([1, 0]), np.array([0.9, 0.4], np.float32), Masks.of(masks, (30, 40)))
    return Result(Prediction(PICTURE, instances=found), CLASSES, PALETTE)


@pytest.fixture
def segmented():
    labels = np.zeros((30, 40), np.uint8)
    labels[:, 10:] = 1
    return Result(Prediction(PICTURE, labels=labels), CLASSES, PALETTE)


def test_of_a_detector(detected):
    assert detected.names == ['<dog>', 'cat']
    assert (detected.boxes.shape, detected.masks.shape, detected.label_map) == ((2, 4), (2, 30, 40), None)
    assert repr(detected) == 'Result(40 x 30 px: 1 <dog> (up to 0.90), 1 cat (up to 0.40))'
    drawn = np.asarray(detected.draw(names=False))
    assert drawn[7, 10, 2] > drawn[7, 10, 0]
    assert drawn[22, 5, 0] > drawn[22, 5, 2]


def test_of_a_segmentor(segmented):
    assert (segmented.boxes, segmented.scores, segmented.labels, segmented.names, segmented.masks) == (None,) * 5
    assert segmented.label_map[0].tolist() == [0] * 10 + [1] * 30
    assert repr(segmented) == 'Result(40 x 30 px: <dog> 75.0%, cat 25.0%)'
    with pytest.raises(InputError, match='to_coco: the model gives a label map and no instances'):
        segmented.to_coco()


def test_of_a_panoptic_model():
    panoptic = np.full((30, 40), 1 + INSTANCE_OFFSET)
    panoptic[:10] = len(CLASSES)
    found = Result(Prediction(PICTURE, panoptic=panoptic), CLASSES, PALETTE)
    assert np.unique(found.label_map).tolist() == [1, 2]
    assert found._detections()[2].tolist() == [1]


def test_coco(detected):
    coco = detected.to_coco('a.jpg')
    assert coco['images'] == [dict(id=1, file_name='a.jpg', width=40, height=30)]
    assert [row['bbox'] for row in coco['annotations']] == [[5, 5, 15, 5], [0, 20, 10, 5]]
    assert [coco['categories'][row['category_id'] - 1]['name'] for row in coco['annotations']] == ['<dog>', 'cat']
    assert (coco_mask.decode(coco['annotations'][0]['segmentation']) == detected.masks[0]).all()


def test_supervision(detected, segmented, monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(InputError, match=r"supervision is not installed: pip install 'mmseq\[supervision\]'"):
        detected.to_supervision()
    monkeypatch.setitem(sys.modules, 'supervision', SimpleNamespace(Detections=lambda **given: given))
    given = detected.to_supervision()
    assert given['data']['class_name'].tolist() == ['<dog>', 'cat']
    assert (given['class_id'].tolist(), given['xyxy'].tolist()[0]) == ([1, 0], [5, 5, 20, 10])
    given = segmented.to_supervision()
    assert (given['xyxy'].tolist(), given['mask'].sum(axis=(1, 2)).tolist()) == (
        [[0, 0, 10, 30], [10, 0, 40, 30]],
        [300, 900],
    )


def test_supervision_takes_it(detected, segmented):
    pytest.importorskip('supervision', reason='supervision is not installed (mmseq[supervision])')
    assert len(detected.to_supervision()) == len(segmented.to_supervision()) == 2


def test_notebooks_show_it(detected):
    with Image.open(io.BytesIO(detected._repr_png_())) as shown:
        assert shown.size == (40, 30)
    page = detected._repr_html_()
    assert 'data:image/png;base64,' in page
    assert '1 &lt;dog&gt; (up to 0.90)' in page
    assert '<dog>' not in page


def test_a_limit_counts_if_it_hid_what_was_asked_for(detected):
    assert not detected.limit_reached
    for cut_off, reached in ((0.4, True), (0.2, False)):
        prediction = replace(detected.prediction, cut_off=cut_off).above(0.3)
        assert Result(prediction, CLASSES, PALETTE).limit_reached == reached
