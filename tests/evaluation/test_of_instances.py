"""Further figures of detectors, on a scene of few objects."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as rle

from mmseq.evaluation.of_instances import (
    InstanceBoundaries,
    InstanceCalibration,
    InstancePlaces,
    KeptInstances,
    OfInstances,
)

# Left, top, right, bottom, and places in the classes.
OBJECTS = {1: [((2, 2, 22, 22), 0), ((60, 60, 90, 90), 1)], 2: [((40, 40, 70, 80), 0)]}
CLASSES = ('cat', 'dog')


def mask_of(box: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros((120, 100), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 1
    return mask


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Truth whose categories are not sorted, with a third image that is not evaluated."""
    rows: list[dict[str, Any]] = []
    for image, objects in OBJECTS.items():
        for box, label in objects:
            found = rle.encode(np.asfortranarray(mask_of(box)))
            sides = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            about = dict(id=len(rows), image_id=image, category_id=(9, 3)[label], bbox=sides, iscrowd=0)
            area = sides[2] * sides[3]
            rows.append(about | dict(area=area, segmentation=dict(found, counts=found['counts'].decode())))
    rows.append(dict(rows[0], id=77, image_id=3))
    images = [dict(id=i, height=120, width=100) for i in (1, 2, 3)]
    path = tmp_path / 'truth.json'
    categories = [dict(id=9, name='cat'), dict(id=3, name='dog')]
    path.write_text(json.dumps(dict(images=images, annotations=rows, categories=categories)))
    return str(path)


def evaluated(metric: OfInstances, found: dict[int, list[tuple[tuple[int, ...], int, float]]]) -> dict[str, float]:
    metric.dataset_meta = dict(classes=CLASSES)
    for image in OBJECTS:
        rows = found.get(image, [])
        masks = [torch.from_numpy(mask_of(box)).bool() for box, _, _ in rows]
        predicted = dict(
            bboxes=torch.tensor([box for box, _, _ in rows], dtype=torch.float32).reshape(-1, 4),
            labels=torch.tensor([label for _, label, _ in rows], dtype=torch.int64),
            scores=torch.tensor([score for _, _, score in rows]),
            masks=torch.stack(masks) if masks else torch.zeros(0, 120, 100),
        )
        metric.process({}, [dict(img_id=image, ori_shape=(120, 100), pred_instances=predicted)])
    return metric.evaluate(len(OBJECTS))


def right() -> dict[int, list[tuple[tuple[int, ...], int, float]]]:
    return {image: [(box, label, 0.75) for box, label in objects] for image, objects in OBJECTS.items()}


def test_right_detections_have_boundary_ap_1(file: str) -> None:
    found = evaluated(metric := InstanceBoundaries(file), right())
    assert found['boundary/AP'] == pytest.approx(1)
    # in pycocotools' order of ids
    assert metric.details['classes'] == ['dog', 'cat']
    assert evaluated(InstanceBoundaries(file), {}) == {'boundary/AP': 0}


def test_a_detection_may_meet_the_area_and_miss_the_outline(file: str) -> None:
    moved = right()
    moved[2] = [((42, 42, 72, 82), 0, 0.75)]
    found = evaluated(metric := InstanceBoundaries(file), moved)
    # mask IoU 0.8; the outlines are 3 pixels wide
    assert metric.details['AP50'] == [pytest.approx(1), pytest.approx(0.505, abs=0.01)]
    assert found['boundary/AP50'] == pytest.approx(0.752, abs=0.01)


def test_recall_and_precision_by_place(file: str) -> None:
    some = right()
    del some[2]
    some[1].append(((45, 45, 55, 55), 0, 0.9))
    found = evaluated(metric := InstancePlaces(file), some)
    # centres are 12, 25 and 45 pixels from a side; the false one 50
    recall, precision = metric.details['recall'], metric.details['precision']
    assert recall['bands'] == [None, None, 100, 100, 0, None, None]
    assert precision['bands'] == [None, None, 100, 100, 0, None, None]
    assert found == {'place/rim_recall': 100, 'place/inner_recall': 0}
    assert metric.details['score_threshold'] == 0.75
    assert evaluated(InstancePlaces(file), {}) == {}


def test_calibration_of_detections(file: str) -> None:
    some = right()
    some[2] = [((0, 90, 20, 110), 1, 0.75), ((0, 0, 5, 5), 1, 0.01)]
    found = evaluated(metric := InstanceCalibration(file), some)
    # two of three are right, and one says too little to count
    assert found['calibration/ECE'] == pytest.approx(0.75 - 2 / 3)
    assert sum(metric.details['detections']['count']) == 3
    # no cell has detections enough
    assert 'calibration/D_ECE' not in found


def test_detections_are_kept(file: str, tmp_path: Path) -> None:
    some = right()
    some[2].append(((0, 0, 5, 5), 1, 0.01))
    evaluated(KeptInstances(file, str(tmp_path / 'kept.json')), some)
    kept = json.loads((tmp_path / 'kept.json').read_text())
    assert kept['images'] == [1, 2]
    assert kept['sizes'] == [[120, 100]] * 2
    assert [len(rows) for rows in kept['detections']] == [2, 1]
    assert (rle.decode(kept['detections'][1][0]['segmentation']) == mask_of(OBJECTS[2][0][0])).all()
