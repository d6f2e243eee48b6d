"""What recorders find, against hand-computed cases and against pycocotools called directly."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, DumpResults

from mmseq.engine.processes import leave_group
from mmseq.evaluation.recorders import Recorder, attach
from tests.nursery import Nursery

CLASSES = ('sky', 'road', 'tree', 'ghost')

# Two images of 2 x 3; 255 is ignored, class 3 never occurs. By hand, rows = truth:
#        sky road tree
# sky      2    1    0
# road     0    2    1
# tree     1    1    2
LABELS = (((0, 0, 1), (1, 2, 255)), ((2, 2, 0), (2, 255, 1)))
PREDICTIONS = (((0, 1, 1), (1, 2, 0)), ((2, 0, 0), (1, 2, 2)))
CONFUSION = [[2, 1, 0, 0], [0, 2, 1, 0], [1, 1, 2, 0], [0, 0, 0, 0]]


def _segmentation_samples() -> list[dict]:
    return [
        {'pred_sem_seg': {'data': torch.tensor([prediction])}, 'gt_sem_seg': {'data': torch.tensor([label])}}
        | {'img_path': f'{name}.png'}
        for name, prediction, label in zip(('first', 'second'), PREDICTIONS, LABELS)
    ]


def _counts(recorder: Recorder) -> list[list[int]]:
    return [list(row[1:]) for row in recorder.confusion.rows]


def _iou_metric(**arguments: object) -> BaseMetric:
    from mmseg.evaluation import IoUMetric

    metric = IoUMetric(**arguments)
    metric.dataset_meta = {'classes': CLASSES}
    return metric


def test_segmentation_by_hand() -> None:
    metric = _iou_metric(iou_metrics=['mIoU', 'mDice', 'mFscore'])
    recorder = attach(metric)
    metric.process({}, _segmentation_samples())
    summary = metric.evaluate(2)

    assert _counts(recorder) == CONFUSION
    sky, road, tree, ghost = recorder.table.records()
    assert list(sky) == [
        *('class', 'IoU', 'Acc', 'Dice', 'Fscore', 'Precision', 'Recall'),
        *('label_pixels', 'prediction_pixels', 'intersection_pixels'),
    ]
    assert sky['IoU'] == pytest.approx(100 * 2 / 4)
    assert road['IoU'] == pytest.approx(100 * 2 / 5)
    assert tree['IoU'] == pytest.approx(100 * 2 / 5)
    assert tree['Acc'] == pytest.approx(100 * 2 / 4)
    assert road['Dice'] == pytest.approx(100 * 4 / 7)
    assert (road['label_pixels'], road['prediction_pixels'], road['intersection_pixels']) == (3, 4, 2)
    assert {name for name, value in ghost.items() if value is None} == {
        *('IoU', 'Acc', 'Dice', 'Fscore', 'Precision', 'Recall')
    }
    assert summary['mIoU'] == pytest.approx(np.mean([row['IoU'] for row in (sky, road, tree)]), abs=0.005)
    first, second = recorder.images.records()
    # sky 1/2, road 2/3, tree 1/1; sky 1/2, road 0/2, tree 1/4
    assert (first['image'], first['score']) == ('first.png', pytest.approx(100 * (1 / 2 + 2 / 3 + 1) / 3))
    assert (second['image'], second['score']) == ('second.png', pytest.approx(100 * (1 / 2 + 0 + 1 / 4) / 3))


def test_upstream_summary_is_unchanged_and_recorder_detaches() -> None:
    plain, watched = _iou_metric(), _iou_metric()
    recorder = attach(watched)
    assert attach(watched) is recorder
    before = set(vars(plain))
    samples = _segmentation_samples()
    perfect = [sample | {'pred_sem_seg': sample['gt_sem_seg']} for sample in samples]
    # the second evaluation starts from nothing
    for batch, confusion in ((samples, CONFUSION), (perfect, np.diag([3, 3, 4, 0]).tolist())):
        plain.process({}, batch)
        watched.process({}, batch)
        assert plain.evaluate(2) == watched.evaluate(2)
        assert _counts(recorder) == confusion
    recorder.detach()
    assert set(vars(watched)) == before
    assert recorder.table is not None


def test_padded_samples_are_left_out() -> None:
    metric = _iou_metric()
    recorder = attach(metric)
    samples = _segmentation_samples()
    metric.process({}, [*samples, samples[0]])
    metric.evaluate(2)
    assert _counts(recorder) == CONFUSION


def test_subclasses_are_recognised_and_others_are_not() -> None:
    from mmseg.evaluation import IoUMetric

    class Mine(IoUMetric):
        pass

    assert attach(Mine()) is not None
    assert attach(DumpResults('results.pkl')) is None


def test_format_only_has_no_table(tmp_path: Path) -> None:
    metric = _iou_metric(format_only=True, output_dir=str(tmp_path))
    recorder = attach(metric)
    metric.process({}, _segmentation_samples())
    assert metric.evaluate(2) == {}
    assert recorder.table is recorder.confusion is recorder.images is None


def _both(folder: Path) -> tuple[list[BaseMetric], list[list[dict]]]:
    """A metric of each task, and the samples of three images for each."""
    first, second = _segmentation_samples()
    metric, samples = _coco(folder)
    return [_iou_metric(), metric], [[first, second, second | {'img_path': 'third.png'}], samples[:3]]


def _found(recorders: list[Recorder]) -> list:
    """All that recorders hold, as JSON gives it back."""
    held = [(one.table, one.images, one.confusion) for one in recorders]
    rows = [[table and table.rows for table in tables] for tables in held]
    return json.loads(json.dumps([rows, [one.errors for one in recorders]]))


def worker() -> None:
    """What each of the two processes of the next test runs: 3 images over 2 ranks, the first one padded to the end."""
    torch.distributed.init_process_group('gloo')
    rank = torch.distributed.get_rank()
    folder = Path(f'rank{rank}')
    folder.mkdir()
    metrics, samples = _both(folder)
    recorders = [attach(metric) for metric in metrics]
    for metric, images in zip(metrics, samples):
        for sample in [*images, images[0]][rank::2]:
            metric.process({}, [sample])
        metric.evaluate(3)
    (folder / 'found.json').write_text(json.dumps(_found(recorders)))
    leave_group()


def test_two_processes_agree_with_one(nursery: Nursery, tmp_path: Path) -> None:
    metrics, samples = _both(tmp_path)
    recorders = [attach(metric) for metric in metrics]
    for metric, images in zip(metrics, samples):
        metric.process({}, images)
        metric.evaluate(3)
    assert [len(recorder.images.rows) for recorder in recorders] == [3, 3]

    script = tmp_path / 'worker.py'
    script.write_text('from tests.evaluation.test_recorders import worker\n\nworker()\n')
    nursery.run(script=script, processes=2, cwd=tmp_path, log=tmp_path / 'log')
    assert json.loads((tmp_path / 'rank0' / 'found.json').read_text()) == _found(recorders)
    assert json.loads((tmp_path / 'rank1' / 'found.json').read_text()) == [[[None] * 3] * 2, [None] * 2]


def _rectangle(x: int, y: int, w: int, h: int) -> np.ndarray:
    mask = np.zeros((128, 128), dtype=np.uint8)
    mask[y : y + h, x : x + w] = 1
    return mask


def _coco(folder: Path) -> tuple[BaseMetric, list[dict]]:
    """A metric over 6 images and noisy predictions. The category ids are not sorted, and class `none` is absent."""
    from mmdet.evaluation import CocoMetric
    from pycocotools import mask as mask_utils

    numbers = np.random.default_rng(0)
    names, ids = ('cat', 'none', 'dog'), (7, 5, 2)
    images, annotations, samples = [], [], []
    for image in range(6):
        images.append({'id': image, 'width': 128, 'height': 128, 'file_name': f'{image}.png'})
        boxes, labels, scores, masks = [], [], [], []
        for _ in range(5):
            label = int(numbers.choice([0, 2]))
            x, y, w, h = (int(v) for v in (*numbers.integers(0, 60, 2), *numbers.integers(8, 60, 2)))
            crowd = int(numbers.random() < 0.15)
            rle = mask_utils.encode(np.asfortranarray(_rectangle(x, y, w, h)))
            rle['counts'] = rle['counts'].decode()
            annotations.append(
                dict(id=len(annotations) + 1, image_id=image, category_id=ids[label], bbox=[x, y, w, h], area=w * h)
                | dict(iscrowd=crowd, segmentation=rle)
            )
            dx, dy, dw, dh = numbers.integers(-3, 4, 4)
            x, y, w, h = int(max(0, x + dx)), int(max(0, y + dy)), int(w + dw), int(h + dh)
            boxes.append([x, y, x + w, y + h])
            labels.append(label if numbers.random() < 0.8 else int(numbers.integers(0, 3)))
            scores.append(numbers.random())
            # masks are worse than boxes, so that mixing them up shows
            masks.append(_rectangle(x, y, max(1, w - 4), h))
        prediction = dict(
            bboxes=torch.tensor(boxes, dtype=torch.float32),
            labels=torch.tensor(labels),
            scores=torch.tensor(scores, dtype=torch.float32),
            masks=torch.from_numpy(np.stack(masks)).bool(),
        )
        samples.append({'img_id': image, 'ori_shape': (128, 128), 'pred_instances': prediction})
        samples[-1]['img_path'] = f'pictures/{image}.png'
    truth = folder / 'truth.json'
    categories = [{'id': category, 'name': name} for category, name in zip(ids, names)]
    truth.write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': categories}))
    metric = CocoMetric(ann_file=str(truth), metric=['bbox', 'segm'], outfile_prefix=str(folder / 'results'))
    metric.dataset_meta = {'classes': names}
    return metric, samples


@pytest.fixture
def coco(tmp_path: Path) -> tuple[BaseMetric, list[dict]]:
    return _coco(tmp_path)


def _pycocotools_for_one_class(folder: Path, kind: str, category: int) -> np.ndarray:
    """The twelve summary figures for a single category, by pycocotools alone."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(folder / 'truth.json'))
    predictions = json.loads((folder / f'results.{kind}.json').read_text())
    if kind == 'segm':
        for prediction in predictions:
            prediction.pop('bbox')
    evaluator = COCOeval(truth, truth.loadRes(predictions), kind)
    evaluator.params.catIds = [category]
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator.stats


def test_coco_values_are_those_of_pycocotools(coco: tuple[BaseMetric, list[dict]], tmp_path: Path) -> None:
    metric, samples = coco
    recorder = attach(metric)
    metric.process({}, samples)
    summary = metric.evaluate(len(samples))

    rows = {row['class']: row for row in recorder.table.records()}
    assert {name: row['category_id'] for name, row in rows.items()} == {'cat': 7, 'none': 5, 'dog': 2}
    annotations = json.loads((tmp_path / 'truth.json').read_text())['annotations']
    for name, row in rows.items():
        of_class = [a for a in annotations if a['category_id'] == row['category_id'] and not a['iscrowd']]
        assert row['instances'] == len(of_class), name
        for kind in ('bbox', 'segm'):
            expected = _pycocotools_for_one_class(tmp_path, kind, row['category_id'])[:6]
            for column, value in zip(('AP', 'AP50', 'AP75', 'AP_s', 'AP_m', 'AP_l'), expected):
                assert row[f'{kind}_{column}'] == (None if value == -1 else value), (name, kind, column)
    assert rows['none']['bbox_AP'] is None
    assert rows['cat']['bbox_AP'] > rows['cat']['segm_AP'] > 0
    for kind in ('bbox', 'segm'):
        mean = np.mean([rows[name][f'{kind}_AP'] for name in ('cat', 'dog')])
        assert summary[f'coco/{kind}_mAP'] == pytest.approx(mean, abs=0.0005)


def test_coco_images_confusions_and_errors(coco: tuple[BaseMetric, list[dict]], tmp_path: Path) -> None:
    metric, samples = coco
    recorder = attach(metric)
    # the images of a data set need not be in the order of their ids
    samples = samples[::-1]
    metric.process({}, samples)
    summary = metric.evaluate(len(samples))

    images = recorder.images.records()
    assert [row['image'] for row in images] == [f'pictures/{i}.png' for i in reversed(range(6))]
    assert [row['image_id'] for row in images] == [5, 4, 3, 2, 1, 0]
    for kind in ('bbox', 'segm'):
        assert recorder.errors[kind]['AP50'] == pytest.approx(summary[f'coco/{kind}_mAP_50'], abs=0.0005)
    # the masks, which are worse
    assert recorder.errors['bbox']['AP50'] > recorder.errors['segm']['AP50']
    least = recorder.errors['segm']['score_threshold']
    above = sum(int((sample['pred_instances']['scores'] >= least).sum()) for sample in samples)
    in_crowds = above - sum(row['matches'] + row['false'] for row in images)
    crowds = sum(a['iscrowd'] for a in json.loads((tmp_path / 'truth.json').read_text())['annotations'])
    assert 0 < in_crowds <= crowds

    assert recorder.confusion.columns == ('truth \\ prediction', 'dog', 'none', 'cat', 'background')
    counts = np.array(_counts(recorder))
    of_class = {row['class']: row['instances'] for row in recorder.table.records()}
    assert counts[:3].sum(axis=1).tolist() == [of_class[name] for name in ('dog', 'none', 'cat')]
    assert counts.diagonal().sum() == sum(row['matches'] for row in images) > 0
    assert counts[:, :3].sum() == sum(row['matches'] + row['false'] for row in images)


def test_boxes_alone_and_other_overlaps(coco: tuple[BaseMetric, list[dict]]) -> None:
    metric, samples = coco
    recorder = attach(metric)
    metric.metrics = ['bbox']
    metric.process({}, samples)
    metric.evaluate(len(samples))
    assert list(recorder.errors) == ['bbox']
    assert len(recorder.images.rows) == 6
    metric.iou_thrs = np.array([0.75, 0.8])
    metric.process({}, samples)
    # mmdet's own summary reads a figure for 0.5 too
    metric.evaluate(len(samples))
    assert recorder.table is not None
    assert recorder.errors is recorder.images is recorder.confusion is None


def test_coco_module_is_restored_even_after_an_error(coco: tuple[BaseMetric, list[dict]]) -> None:
    from mmdet.evaluation.metrics import coco_metric

    before = coco_metric.COCOeval, coco_metric.COCOevalMP
    metric, samples = coco
    recorder = attach(metric)
    metric.metrics = ['bbox', 'no such metric']
    metric.process({}, samples)
    with pytest.raises(KeyError, match='no such metric'):
        metric.evaluate(len(samples))
    assert (coco_metric.COCOeval, coco_metric.COCOevalMP) == before
    assert recorder.table is None


def test_proposals_have_no_classes(coco: tuple[BaseMetric, list[dict]]) -> None:
    metric, samples = coco
    recorder = attach(metric)
    metric.metrics = ['proposal', 'bbox']
    metric.process({}, samples)
    metric.evaluate(len(samples))
    assert recorder.table.columns[:4] == ('class', 'category_id', 'instances', 'bbox_AP')


def test_predictions_of_nothing_give_no_table(coco: tuple[BaseMetric, list[dict]]) -> None:
    metric, samples = coco
    recorder = attach(metric)
    empty = dict(bboxes=torch.zeros(0, 4), labels=torch.zeros(0), scores=torch.zeros(0), masks=torch.zeros(0, 128, 128))
    metric.process({}, [sample | {'pred_instances': empty} for sample in samples])
    metric.evaluate(len(samples))
    assert recorder.table is None


def _with_ids(folder: Path, category: Callable, annotation: Callable) -> None:
    """Give the truth of :func:`_coco` other ids."""
    path = folder / 'truth.json'
    truth = json.loads(path.read_text())
    for one in truth['categories']:
        one['id'] = category(one['id'])
    for one in truth['annotations']:
        one.update(category_id=category(one['category_id']), id=annotation(one['id']))
    path.write_text(json.dumps(truth))


def _evaluate_anew(folder: Path, samples: list[dict]) -> tuple[Recorder, dict, dict]:
    """What upstream's metric finds with a recorder, and without."""
    from mmdet.evaluation import CocoMetric

    found = []
    for watched in (True, False):
        metric = CocoMetric(ann_file=str(folder / 'truth.json'), metric=['bbox', 'segm'])
        metric.dataset_meta = {'classes': ('cat', 'none', 'dog')}
        recorder = attach(metric) if watched else None
        metric.process({}, samples)
        found += [recorder, metric.evaluate(len(samples))] if watched else [metric.evaluate(len(samples))]
    return tuple(found)


def test_category_ids_may_be_text(coco: tuple[BaseMetric, list[dict]], tmp_path: Path) -> None:
    _with_ids(tmp_path, lambda i: f'id{i}', lambda i: i)
    recorder, watched, plain = _evaluate_anew(tmp_path, coco[1])
    assert watched == plain
    assert [row['category_id'] for row in recorder.table.records()] == ['id2', 'id5', 'id7']
    assert [row['class'] for row in recorder.table.records()] == ['dog', 'none', 'cat']
    assert len(recorder.images.rows) == 6


def test_what_cannot_be_recorded_is_said_once_and_ends_nothing(
    coco: tuple[BaseMetric, list[dict]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr('mmseq.evaluation.recorders.print_log', lambda text, *_: said.append(text))
    # upstream keeps these as floats, which are other numbers
    _with_ids(tmp_path, lambda i: i, lambda i: 2**53 + 1 + 2 * i)
    recorder, watched, plain = _evaluate_anew(tmp_path, coco[1])
    assert watched == plain
    assert watched['coco/bbox_mAP'] > 0
    assert recorder.table is recorder.images is recorder.confusion is recorder.errors is None
    (text,) = said
    assert text.startswith('CocoMetric: figures per class and image are left out, those of the metric are unaffected')
    assert '\n' not in text


def test_other_samples_of_a_users_own_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmseg.evaluation import IoUMetric

    class Mine(IoUMetric):
        def process(self, data_batch: object, data_samples: list) -> None:
            for prediction, label in data_samples:
                # three fields, which no map of labels has
                self.results.append(self.intersect_and_union(prediction, label, 'four', 255))

        @staticmethod
        def intersect_and_union(prediction: torch.Tensor, label: torch.Tensor, classes: str, ignored: int) -> tuple:
            return IoUMetric.intersect_and_union(prediction, label, 4, ignored)

    said: list[str] = []
    monkeypatch.setattr('mmseq.evaluation.recorders.print_log', lambda text, *_: said.append(text))
    metric = Mine()
    metric.dataset_meta = {'classes': CLASSES}
    recorder = attach(metric)
    metric.process({}, [(torch.tensor(LABELS[0]), torch.tensor(LABELS[0]))])
    assert metric.evaluate(1)['mIoU'] == 100
    assert recorder.table is recorder.images is None
    assert len(said) == 1
    # and the next evaluation starts afresh
    metric.process({}, [(torch.tensor(LABELS[0]), torch.tensor(LABELS[0]))])
    assert metric.evaluate(1)['mIoU'] == 100


def _boxes(boxes: list[list[float]], labels: list[int], **more: object) -> dict:
    return {'bboxes': torch.tensor(boxes).reshape(-1, 4), 'labels': torch.tensor(labels), **more}


def test_voc_has_rows_of_its_classes() -> None:
    from mmdet.evaluation import VOCMetric

    metric = VOCMetric(iou_thrs=[0.5, 0.7], eval_mode='area')
    metric.dataset_meta = {'classes': ('dog', 'person', 'cow')}
    recorder = attach(metric)
    truth = [[0.0, 0.0, 20.0, 20.0], [30.0, 0.0, 50.0, 20.0], [0.0, 30.0, 20.0, 50.0]]
    # One person of two is found, and the dog at an overlap of 0.6 alone.
    found = _boxes([[0.0, 0.0, 20.0, 12.0], truth[1]], [0, 1], scores=torch.tensor([0.9, 0.8]))
    metric.process(
        {}, [{'gt_instances': _boxes(truth, [0, 1, 1]), 'ignored_instances': _boxes([], []), 'pred_instances': found}]
    )
    figures = metric.evaluate(1)
    dog, person, cow = recorder.table.records()
    assert dog == {'class': 'dog', 'instances': 1, 'bbox_AP50': 1.0, 'bbox_AP70': 0.0}
    assert person == {'class': 'person', 'instances': 2, 'bbox_AP50': 0.5, 'bbox_AP70': 0.5}
    assert cow == {'class': 'cow', 'instances': 0, 'bbox_AP50': None, 'bbox_AP70': None}
    assert figures['pascal_voc/mAP'] == pytest.approx(0.5)
    recorder.detach()
    assert VOCMetric.compute_metrics.__globals__['eval_map'].__module__.startswith('mmdet')


def test_lvis_has_rows_of_its_classes(tmp_path: Path) -> None:
    pytest.importorskip('lvis')
    from mmdet.evaluation import LVISMetric

    from tests.configs.layouts import BOXES, lvis

    lvis(tmp_path)
    metric = LVISMetric(ann_file=str(tmp_path / 'lvis_v1/annotations/lvis_v1_val.json'), metric='bbox')
    recorder = attach(metric)
    corners = [[float(x), float(y), float(x + w), float(y + h)] for x, y, w, h in BOXES]
    found = _boxes(corners[:1], [2], scores=torch.tensor([0.9]))
    metric.dataset_meta = {'classes': ()}
    metric.process({}, [{'img_id': i, 'ori_shape': (96, 128), 'pred_instances': found} for i in (1, 2)])
    figures = metric.evaluate(2)
    rows = [row for row in recorder.table.records() if row['instances']]
    assert len(recorder.table.rows) == 1203
    assert [(row['category_id'], row['instances'], row['frequency']) for row in rows] == [(3, 2, 'f'), (1000, 2, 'r')]
    assert [row['bbox_AP'] for row in rows] == [1.0, 0.0]
    assert figures['lvis/bbox_AP'] == 0.5
    assert recorder.table.records()[0]['bbox_AP'] is None
