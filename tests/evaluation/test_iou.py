"""IoU from whole numbers of pixels, and the label maps that the metric writes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from PIL import Image

from mmseq.errors import InputError
from mmseq.evaluation.recorders import attach
from mmseq.registry import METRICS


def _metric(classes: int, **arguments: Any) -> BaseMetric:
    metric = METRICS.build(dict(type='mmseq.IoUMetric') | arguments)
    metric.dataset_meta = {'classes': [f'class {i}' for i in range(classes)]}
    return metric


def _sample(prediction: torch.Tensor, label: torch.Tensor, path: str = 'a.png', **more: Any) -> dict:
    fields = {'pred_sem_seg': {'data': prediction[None]}, 'gt_sem_seg': {'data': label[None]}}
    return fields | {'img_path': path} | more


@pytest.fixture(scope='module')
def large() -> dict:
    """20 million pixels of class 0 but for a fifth, all of them predicted as class 0: IoU 80 and 0."""
    label = torch.zeros(4000, 5000, dtype=torch.uint8)
    label[:800] = 1
    return _sample(torch.zeros_like(label), label)


def test_large_images_count_every_pixel(large: dict) -> None:
    metric = _metric(2)
    recorder = attach(metric)
    metric.process({}, [large])
    figures = metric.evaluate(1)
    assert (figures['mIoU'], figures['aAcc']) == (40, 80)
    first, second = recorder.table.records()
    assert (first['IoU'], first['Acc'], second['IoU']) == (80, 100, 0)
    assert first['IoU'] == pytest.approx(100 * first['intersection_pixels'] / first['prediction_pixels'])
    assert first['prediction_pixels'] == 20_000_000


def test_upstream_stops_counting(large: dict) -> None:
    metric = _metric(2, upstream=True)
    threads = torch.get_num_threads()
    # each counts for itself
    torch.set_num_threads(1)
    metric.process({}, [large])
    torch.set_num_threads(threads)
    assert metric.evaluate(1)['mIoU'] > 47


def test_many_small_images_add_up_exactly() -> None:
    metric = _metric(2)
    metric.results = [tuple(torch.tensor([n, 1.0]).double() for n in (2**24, 2**24 + 1, 2**24, 2**24 + 1))] * 3
    assert metric.evaluate(3)['mIoU'] == 100


@pytest.mark.parametrize('kind', [torch.int64, torch.uint8, torch.float32])
def test_figures_are_upstreams_where_those_are_right(kind: torch.dtype) -> None:
    numbers = np.random.default_rng(0)
    maps = torch.from_numpy(numbers.integers(0, 6, (4, 1, 2, 40, 50)))
    maps[:, :, 1][maps[:, :, 1] == 5] = 255
    found = []
    for upstream in (False, True):
        # labels of class 4 are none of the metric's classes
        metric = _metric(4, upstream=upstream, iou_metrics=['mIoU', 'mDice', 'mFscore'])
        metric.process({}, [_sample(one[0, 0].to(kind), one[0, 1]) for one in maps])
        found.append(metric.evaluate(4))
    # rounded to two places
    assert found[0] == pytest.approx(found[1], abs=1e-5)


@pytest.mark.parametrize('kind', [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_labels_are_compared_as_they_are(kind: torch.dtype) -> None:
    """An ignored value of 16 bits beside predictions of 8; upstream takes 300 for 44."""
    metric = _metric(50, ignore_index=300)
    label = torch.tensor([[1, 300, 44]])
    metric.process({}, [_sample(torch.tensor([[1, 44, 44]], dtype=kind), label)])
    assert metric.evaluate(1)['mIoU'] == 100


def test_truth_of_many_classes_is_right() -> None:
    labels = torch.arange(65_536).reshape(256, 256)
    metric = _metric(65_535, ignore_index=65_535)
    metric.process({}, [_sample(labels, labels)])
    assert all(torch.equal(area, torch.ones(65_535).double()) for area in metric.results[0])


def test_files_keep_their_folders(tmp_path: Path) -> None:
    metric = _metric(5, output_dir=str(tmp_path / 'out'), image_root='data/images')
    paths = [f'data/images/scene{i}/frame.png' for i in range(4)] + ['elsewhere/frame.png', 'data/images/frame.png']
    for i, path in enumerate(paths):
        label = torch.full((2, 2), i % 5)
        metric.process({}, [_sample(label, label, path)])
    # a distributed sampler repeats images
    metric.process({}, [_sample(torch.ones(2, 2).long(), torch.ones(2, 2).long(), paths[1])])
    root = tmp_path / 'out'
    written = {path.relative_to(root).as_posix(): int(np.array(Image.open(path)).max()) for path in root.rglob('*.png')}
    outside = Path('elsewhere/frame.png').absolute().relative_to('/').as_posix()
    assert written == {f'scene{i}/frame.png': i for i in range(4)} | {outside: 4, 'frame.png': 0}


@pytest.mark.parametrize(
    'classes, reduced, mode',
    [(200, False, 'L'), (256, False, 'L'), (255, True, 'L'), (256, True, 'I;16'), (65_536, False, 'I;16')],
)
def test_files_hold_every_class(tmp_path: Path, classes: int, reduced: bool, mode: str) -> None:
    metric = _metric(classes, output_dir=str(tmp_path), ignore_index=-1)
    label = torch.tensor([[0, classes - 1]])
    metric.process({}, [_sample(label, label, reduce_zero_label=reduced)])
    image = Image.open(tmp_path / 'a.png')
    assert image.mode == mode
    assert np.array(image).tolist() == [[int(reduced), classes - 1 + reduced]]


def test_more_classes_than_a_file_holds(tmp_path: Path) -> None:
    metric = _metric(65_536, output_dir=str(tmp_path))
    with pytest.raises(InputError, match='a PNG holds labels up to 65535'):
        metric.process({}, [_sample(torch.ones(1, 1).long(), torch.ones(1, 1).long(), reduce_zero_label=True)])
