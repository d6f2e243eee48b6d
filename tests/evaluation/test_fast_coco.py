"""The fast evaluation against pycocotools, which is the judge: bit by bit, on truth and detections of all kinds."""

import contextlib
import copy
import importlib.util
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.cocoeval import COCOeval

from mmseq.evaluation.coco import Truth
from mmseq.evaluation.fast_coco import PACKAGE, FastCOCOeval, is_plain, quicken
from mmseq.evaluation.matching import read_matches

SIZE = (150, 200)
needs_package = pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason=f'{PACKAGE} is not installed')


def polygon(box: list[float]) -> list[list[float]]:
    x, y, w, h = box
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def generated(seed: int, images: int = 6) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Truth with crowds and areas of its own, category ids in no order; detections with many equal scores."""
    random = np.random.default_rng(seed)
    categories = [int(k) for k in random.permutation(4) * 3 + 2]
    annotations, found = [], []
    for image in range(1, images + 1):
        for _ in range(int(random.integers(0, 8))):
            box = [float(v) for v in random.integers((0, 0, 1, 1), (100, 80, 90, 60))]
            area = box[2] * box[3] * random.uniform(0.3, 1)
            one = dict(image_id=image, category_id=int(random.choice(categories)), bbox=box, area=float(area))
            one |= dict(id=len(annotations) + 1, iscrowd=int(random.random() < 0.2), segmentation=polygon(box))
            annotations.append(one)
        own = [one for one in annotations if one['image_id'] == image]
        for _ in range(int(random.integers(0, 25))):
            category, box = int(random.choice(categories)), random.uniform(0, (100, 80, 90, 60))
            if own and random.random() < 0.7:
                one = own[int(random.integers(len(own)))]
                category, box = one['category_id'], (np.array(one['bbox']) + random.integers(-3, 4, 4)).clip(0)
            score = float(np.round(random.uniform(), 1))
            found.append(dict(image_id=image, category_id=category, bbox=box.tolist(), score=score))
    sizes = [dict(id=i + 1, height=SIZE[0], width=SIZE[1], file_name=f'{i}.jpg') for i in range(images)]
    return dict(images=sizes, annotations=annotations, categories=[dict(id=k, name=f'c{k}') for k in categories]), found


def masks(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in one.items() if key != 'bbox'}
        | dict(segmentation=rle.merge(rle.frPyObjects(polygon(one['bbox']), *SIZE)))
        for one in found
    ]


def evaluated(cls: type, truth: dict, found: list, kind: str, **params: Any) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = Truth(copy.deepcopy(truth))
        evaluator = cls(coco, coco.loadRes(copy.deepcopy(found)), kind)
        vars(evaluator.params).update(params)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def compare(truth: dict, found: list, kind: str = 'bbox', **params: Any) -> None:
    judge, fast = (evaluated(cls, truth, found, kind, **params) for cls in (COCOeval, FastCOCOeval))
    for name in ('precision', 'recall', 'scores'):
        assert fast.eval[name].dtype == judge.eval[name].dtype
        assert fast.eval[name].shape == judge.eval[name].shape
        assert fast.eval[name].tobytes() == judge.eval[name].tobytes()
    assert fast.stats.tolist() == judge.stats.tolist()
    assert fast.params.catIds == judge.params.catIds
    if params.get('useCats', 1):
        ours, theirs = vars(read_matches(fast)), vars(read_matches(judge))
        for name, values in ours.items():
            np.testing.assert_array_equal(values, theirs[name], err_msg=name)


@needs_package
@pytest.mark.parametrize('seed', range(6))
def test_bits_are_those_of_pycocotools(seed: int) -> None:
    truth, found = generated(seed)
    compare(truth, found)
    compare(truth, masks(found), 'segm')
    first, second, third, _ = (category['id'] for category in truth['categories'])
    compare(truth, found, useCats=0)
    compare(truth, found, useCats=0, catIds=[second, first])
    compare(truth, found, maxDets=[100, 3, 1], iouThrs=np.array([0.5, 0.75]), imgIds=[3, 1, 2], catIds=[first, third])


def every_third(key: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        for row in rows[::3]:
            row[key] = value

    return change


@needs_package
@pytest.mark.parametrize(
    'change',
    [
        *(every_third('score', score) for score in (float('nan'), float('inf'), -0.5, 1, -0.0)),
        *(every_third('bbox', box) for box in ([50, 50, -20, -20], [float('nan')] * 4, [0, 0, float('inf'), 5])),
        every_third('category_id', 999),
        lambda rows: rows.clear(),
        lambda rows: rows.extend(copy.deepcopy(rows * 9)),
    ],
)
def test_odd_detections(change: Callable[[list[dict[str, Any]]], None]) -> None:
    truth, found = generated(100)
    change(found)
    compare(truth, found)


@needs_package
@pytest.mark.parametrize(
    ('kind', 'change'),
    [
        *(('bbox', every_third('area', area)) for area in (float('nan'), -3, 40, 1e11)),
        *(('bbox', every_third('iscrowd', crowd)) for crowd in (2, True, 0.0)),
        *(('bbox', every_third('bbox', box)) for box in ([5, 5, 0, 0], [50, 50, -20, -20])),
        *(('bbox', every_third(key, 999)) for key in ('image_id', 'category_id')),
        ('bbox', every_third('ignore', 1)),
        ('bbox', lambda rows: rows.clear()),
        ('segm', every_third('segmentation', dict(size=[150, 200], counts=[3000, 4000, 23000]))),
        ('segm', every_third('segmentation', dict(size=[15, 20], counts=[30, 40, 230]))),
        ('segm', every_third('segmentation', polygon([-50, -50, 550, 550]) * 2)),
    ],
)
def test_odd_truth(kind: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    truth, found = generated(100)
    change(truth['annotations'])
    compare(truth, masks(found) if kind == 'segm' else found, kind)


@needs_package
@pytest.mark.parametrize('offset', [2**53, -100])
def test_ids_of_images(offset: int) -> None:
    truth, found = generated(100)
    for row in truth['images']:
        row['id'] += offset
    for row in (*truth['annotations'], *found):
        row['image_id'] += offset
    compare(truth, found)


@pytest.mark.parametrize(
    ('kind', 'key', 'value'),
    [
        *(('bbox', 'image_id', value) for value in (1.0, '1', True, 2**63)),
        ('bbox', 'category_id', 2.0),
        *(('bbox', 'area', value) for value in (None, '3')),
        ('bbox', 'iscrowd', '1'),
        *(('segm', 'segmentation', value) for value in ([], None)),
    ],
)
def test_what_it_alone_reads_stays_with_pycocotools(kind: str, key: str, value: Any) -> None:
    truth, _ = generated(100)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = Truth(truth)
    assert is_plain(COCOeval(coco, coco, kind))
    truth['annotations'][0][key] = value
    assert not is_plain(COCOeval(coco, coco, kind))


def test_without_the_package_pycocotools_evaluates(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr('mmseq.evaluation.fast_coco.importlib.util.find_spec', lambda name: None)
    monkeypatch.setattr('mmseq.evaluation.fast_coco._say_once', said.append)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = Truth(generated(1)[0])
    evaluator = COCOeval(coco, coco, 'bbox')
    quicken(evaluator)
    assert type(evaluator) is COCOeval
    assert 'mmseq[fast]' in said[0]
