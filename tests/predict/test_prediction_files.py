"""Files of predictions, read by the programs that are to read them."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from mmseq.errors import InputError
from mmseq.pictures.masks import Masks
from mmseq.pictures.prediction import Instances, Prediction
from mmseq.predict.coco_results import CocoResults, code_panoptic, found_on
from mmseq.predict.prediction_files import PredictionFolder, Subject

CLASSES = ('sky', 'sea', 'boat')
PALETTE = np.array([[200, 0, 0], [0, 0, 200], [0, 200, 0]], np.uint8)
PICTURE = np.full((40, 60, 3), 100, np.uint8)


def masks(number):
    return np.random.default_rng(number).random((number, 40, 60)) > 0.7


def instances(number, with_masks=True):
    corners = np.arange(2 * number, dtype=np.float32).reshape(number, 2)
    boxes = np.concatenate([corners, corners + (10.25, 20)], axis=1)
    scores = np.linspace(0.9, 0.5, number, dtype=np.float32)
    found = Masks.of(masks(number), (40, 60)) if with_masks else None
    return Instances(boxes, np.arange(number) % 3, scores, found)


def add(folder, prediction, subject):
    return folder.add(folder.render(prediction, subject))


def test_coco_reads_the_detections(tmp_path):
    folder = PredictionFolder(tmp_path, CLASSES, PALETTE)
    add(folder, Prediction(PICTURE, instances(4)), Subject('a.jpg', 'a'))
    add(folder, Prediction(PICTURE, instances(0)), Subject('empty.jpg', 'empty'))
    add(folder, Prediction(PICTURE, instances(2, with_masks=False)), Subject('b.jpg', 'b'))
    folder.close({})
    coco = COCO(tmp_path / 'detections.json')
    assert [coco.imgs[i]['file_name'] for i in (1, 2, 3)] == ['a.jpg', 'empty.jpg', 'b.jpg']
    assert [len(coco.getAnnIds(imgIds=[i])) for i in (1, 2, 3)] == [4, 0, 2]
    assert {category['name']: category['id'] for category in coco.cats.values()} == dict(sky=1, sea=2, boat=3)
    for annotation, mask in zip(coco.loadAnns(coco.getAnnIds(imgIds=[1])), masks(4)):
        assert np.array_equal(coco.annToMask(annotation), mask)
        assert annotation['area'] == mask.sum()
        assert annotation['bbox'][2:] == [10.25, 20]
    boxes_alone = coco.loadAnns(coco.getAnnIds(imgIds=[3]))
    assert all('segmentation' not in annotation for annotation in boxes_alone)
    assert boxes_alone[0]['area'] == pytest.approx(205)
    # The form in which evaluations take results.
    assert len(coco.loadRes(coco.dataset['annotations'][:4]).anns) == 4


def test_what_is_found_is_json():
    found, _ = found_on(Prediction(PICTURE, instances(2)), dict(file_name='a'), CLASSES)
    assert json.loads(json.dumps(found.instances)) == found.instances


def test_label_maps_and_summary(tmp_path):
    labels = np.arange(2400, dtype=np.uint8).reshape(40, 60) % 3
    folder = PredictionFolder(tmp_path, CLASSES, PALETTE)
    row = add(folder, Prediction(PICTURE, labels=labels), Subject('in/a.jpg', 'sub/a'))
    folder.fail('torn.jpg', 'torn.jpg: is torn')
    summary = folder.close(dict(config='c.py'))
    assert np.array_equal(np.asarray(Image.open(tmp_path / row['map'])), labels)
    assert Image.open(tmp_path / row['overlay']).size == (60, 40)
    assert not (tmp_path / 'detections.json').exists()
    written = json.loads((tmp_path / 'summary.json').read_text())
    assert next(iter(written)) == 'config'
    assert written['failures'] == summary['failures'] == [dict(file_name='torn.jpg', reason='torn.jpg: is torn')]
    assert (written['pictures'], written['failed']) == (1, 1)
    assert sum(one['share'] for one in written['predictions'][0]['classes']) == pytest.approx(1)
    assert not list(tmp_path.rglob('.*'))


def test_nothing_but_what_is_asked_for(tmp_path):
    folder = PredictionFolder(tmp_path, CLASSES, PALETTE, overlays=False, maps=False)
    add(folder, Prediction(PICTURE, labels=np.zeros((40, 60), np.uint8)), Subject('a.jpg', 'a'))
    add(folder, Prediction(PICTURE, panoptic=np.zeros((40, 60), int)), Subject('b.jpg', 'b'))
    folder.close({})
    assert [path.name for path in tmp_path.iterdir()] == ['summary.json']


def test_panoptic_maps_are_cocos(tmp_path):
    ids = np.full((40, 60), 3)
    ids[:20], ids[30:, 30:] = 1002, 0
    coded, segments = code_panoptic(ids, 3)
    assert [(row['category_id'], row['area'], row['bbox']) for row in segments] == [
        (1, 300, [30, 30, 30, 10]),
        (3, 1200, [0, 0, 60, 20]),
    ]
    from panopticapi.utils import rgb2id

    assert np.array_equal(rgb2id(coded), np.select([ids == 0, ids == 1002], [1, 2], 0))
    folder = PredictionFolder(tmp_path, CLASSES, PALETTE)
    add(folder, Prediction(PICTURE, panoptic=ids), Subject('a.jpg', 'a'))
    folder.close({})
    written = json.loads((tmp_path / 'panoptic.json').read_text())
    assert written['annotations'] == [dict(image_id=1, segments_info=segments, file_name='a.png')]
    assert np.array_equal(np.asarray(Image.open(tmp_path / 'panoptic' / 'a.png')), coded)


def test_many_segments_go_on_in_the_next_byte():
    coded, segments = code_panoptic(np.arange(600).reshape(20, 30) * 1000, 3)
    assert len(segments) == 600
    assert coded[19, 29].tolist() == [600 % 256, 600 // 256, 0]


def test_a_video_is_complete_or_absent(tmp_path):
    folder = PredictionFolder(tmp_path, CLASSES, PALETTE)
    for frame in range(5):
        add(folder, Prediction(PICTURE, instances(1)), Subject('v.mp4', 'v', frame, 10.0))
    assert not (tmp_path / 'overlays' / 'v.mp4').exists()
    folder.end_video()
    capture = cv2.VideoCapture(str(tmp_path / 'overlays' / 'v.mp4'))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    assert capture.get(cv2.CAP_PROP_FPS) == 10
    capture.release()
    folder.close({})
    content = json.loads((tmp_path / 'detections.json').read_text())
    assert [image['frame'] for image in content['images']] == list(range(5))


def test_a_video_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr('mmseq.predict.prediction_files.CODEC', 'none')
    folder = PredictionFolder(tmp_path, CLASSES, PALETTE)
    with pytest.raises(InputError, match='--no-overlays'):
        add(folder, Prediction(PICTURE, instances(1)), Subject('v.mp4', 'v', 0))


def test_images_without_a_detector():
    results = CocoResults(CLASSES)
    found, panoptic = found_on(Prediction(PICTURE, labels=PICTURE[:, :, 0]), dict(file_name='a'), CLASSES)
    results.add(found)
    assert (results.annotations, panoptic) == (None, None)
