"""AP of truth that is fed back as the prediction, where pycocotools and mmdet give another figure."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.evaluator import BaseMetric
from pycocotools.cocoeval import COCOeval

from mmseq.evaluation.fast_coco import PACKAGE, FastCOCOeval, built
from mmseq.evaluation.recorders import attach
from mmseq.registry import METRICS

BOXES = ((5, 5, 20, 20), (40, 10, 30, 40), (10, 60, 50, 30))
NAMES = ('tri', 'box', 'disc')
IDS = (7, 2, 5)


def _truth(numbers: tuple, ids: tuple = IDS, image: Any = 0) -> dict:
    """One image with an object of each class; its annotations have the given ids."""
    annotations = [
        dict(id=number, image_id=image, category_id=category, bbox=list(box), area=box[2] * box[3], iscrowd=0)
        for number, category, box in zip(numbers, ids, BOXES)
    ]
    return dict(
        images=[dict(id=image, width=100, height=100, file_name='a.png')],
        annotations=annotations,
        categories=[dict(id=category, name=name) for category, name in zip(ids, NAMES)],
    )


def _metric(folder: Path, truth: dict, **arguments: Any) -> BaseMetric:
    path = folder / 'truth.json'
    path.write_text(json.dumps(truth))
    metric = METRICS.build(dict(type='mmseq.CocoMetric', ann_file=str(path)) | arguments)
    metric.dataset_meta = {'classes': NAMES}
    return metric


def _evaluate(metric: BaseMetric, found: tuple = (0, 1, 2), image: Any = 0) -> dict[str, float]:
    """Feed some objects of the truth back as detections."""
    corners = [[x, y, x + w, y + h] for x, y, w, h in (BOXES[i] for i in found)]
    prediction = dict(
        bboxes=torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(found, dtype=torch.long),
        scores=torch.full((len(found),), 0.9),
    )
    sample = dict(img_id=image, img_path='a.png', ori_shape=(100, 100), pred_instances=prediction)
    metric.process({}, [sample])
    return metric.evaluate(1)


@pytest.mark.parametrize(
    'numbers', [(0, 1, 2), (1, 1, 2), (-1, 0, 1), (2**53, 2**53 + 1, 2**53 + 2), ('x-1', 'x-2', 'x-3')]
)
def test_truth_is_found_whatever_its_ids(tmp_path: Path, numbers: tuple) -> None:
    metric = _metric(tmp_path, _truth(numbers))
    recorder = attach(metric)
    # the second evaluation of a training reads the same truth
    for _ in range(2):
        assert _evaluate(metric)['coco/bbox_mAP'] == 1
        assert [row['bbox_AP'] for row in recorder.table.records()] == pytest.approx([1, 1, 1])
        assert [row['matches'] for row in recorder.images.records()] == [3]


def test_upstreams_own_figure_by_a_switch(tmp_path: Path) -> None:
    assert _evaluate(_metric(tmp_path, _truth((0, 1, 2)), upstream=True))['coco/bbox_mAP'] == pytest.approx(0.667)


def test_the_fast_evaluation_is_ours_alone(tmp_path: Path) -> None:
    from mmdet.evaluation import CocoMetric

    pytest.importorskip(PACKAGE)
    built_ones: list[Any] = []
    with built(CocoMetric.compute_metrics.__globals__, ('COCOeval',), built_ones.append):
        for upstream in (False, True):
            _evaluate(_metric(tmp_path, _truth((1, 2, 3)), upstream=upstream))
    assert [type(one) for one in built_ones] == [FastCOCOeval, COCOeval]


def test_truth_of_the_images_themselves(tmp_path: Path) -> None:
    metric = _metric(tmp_path, _truth((0, 1, 2)), ann_file=None)
    instances = [dict(bbox=[x, y, x + w, y + h], bbox_label=i) for i, (x, y, w, h) in enumerate(BOXES)]
    empty = dict(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long), scores=torch.zeros(0))
    sample = dict(img_id=0, ori_shape=(100, 100), instances=instances)
    metric.process({}, [sample | dict(pred_instances=empty)])
    assert metric.evaluate(1)['coco/bbox_mAP'] == 0
    full = empty | dict(bboxes=torch.tensor([one['bbox'] for one in instances]).float())
    full |= dict(labels=torch.arange(3), scores=torch.ones(3))
    metric.process({}, [sample | dict(pred_instances=full)])
    assert metric.evaluate(1)['coco/bbox_mAP'] == 1


def test_crowds_may_be_left_unsaid(tmp_path: Path) -> None:
    truth = _truth((1, 2, 3))
    del truth['annotations'][0]['iscrowd']
    truth['annotations'][1]['iscrowd'] = None
    assert _evaluate(_metric(tmp_path, truth))['coco/bbox_mAP'] == 1


@pytest.mark.parametrize('ids', [IDS, (0, 1, 2), (2, 1, 0), ('c', 'a', 'b')])
def test_classwise_figures_stand_under_their_names(tmp_path: Path, ids: tuple) -> None:
    metric = _metric(tmp_path, _truth((1, 2, 3), ids), classwise=True, outfile_prefix=str(tmp_path / 'found'))
    recorder = attach(metric)
    for _ in range(2):
        found = _evaluate(metric, found=(1,))
        assert {name: found[f'coco/{name}_precision'] for name in NAMES} == {'tri': 0, 'box': 1, 'disc': 0}
        of_class = {row['class']: row['bbox_AP'] for row in recorder.table.records()}
        assert of_class == pytest.approx({'tri': 0, 'box': 1, 'disc': 0})
        assert {row['class']: row['category_id'] for row in recorder.table.records()} == dict(zip(NAMES, ids))
        # the file of predictions keeps the ids of the truth
        assert [one['category_id'] for one in json.loads((tmp_path / 'found.bbox.json').read_text())] == [ids[1]]


def test_upstream_exchanges_classwise_figures(tmp_path: Path) -> None:
    found = _evaluate(_metric(tmp_path, _truth((1, 2, 3)), classwise=True, upstream=True), found=(1,))
    assert found['coco/tri_precision'] == 1


@pytest.mark.parametrize('metric', ['bbox', ['bbox', 'proposal'], ['proposal_fast', 'bbox']])
def test_nothing_detected_is_zero(tmp_path: Path, metric: Any) -> None:
    one = _metric(tmp_path, _truth((1, 2, 3)), metric=metric, classwise=True)
    recorder = attach(one)
    figures = _evaluate(one, found=())
    assert figures['coco/bbox_mAP'] == figures['coco/bbox_mAP_50'] == figures['coco/tri_precision'] == 0
    assert [row['bbox_AP'] for row in recorder.table.records()] == [0, 0, 0]
    assert recorder.images.records()[0]['missed'] == 3
    assert _evaluate(_metric(tmp_path, _truth((1, 2, 3)), upstream=True), found=()) == {}


def test_no_masks_are_zero(tmp_path: Path) -> None:
    truth = _truth((1, 2, 3))
    for annotation in truth['annotations']:
        x, y, w, h = annotation['bbox']
        annotation['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    metric = _metric(tmp_path, truth, metric=['bbox', 'segm'])
    prediction = dict(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long), scores=torch.zeros(0))
    prediction['masks'] = torch.zeros(0, 100, 100, dtype=torch.bool)
    metric.process({}, [dict(img_id=0, ori_shape=(100, 100), pred_instances=prediction)])
    figures = metric.evaluate(1)
    assert figures['coco/bbox_mAP'] == figures['coco/segm_mAP'] == 0


def test_what_differs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr('mmseq.evaluation.coco.print_log', lambda text, logger: said.append(text))
    _evaluate(_metric(tmp_path, _truth((0, 1, 2)), classwise=True), found=(1,))
    _evaluate(_metric(tmp_path, _truth((1, 2, 3))), found=())
    switch = '(upstream=True of the metric gives its figures)'
    assert said == [
        f'annotations are numbered anew, since pycocotools loses 1 of them {switch}',
        f'category ids are not in the order of the file; mmdet exchanges their AP {switch}',
        f'nothing was detected: AP and AR are 0, while mmdet leaves them out {switch}',
    ]
