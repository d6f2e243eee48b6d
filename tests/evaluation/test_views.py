"""Views of images, and what was found in them brought back."""

from typing import Any

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmseq.evaluation.views import VIEWS, TakeView, TellViewShape, View, ViewEvaluator

HEIGHT, WIDTH = 5, 8


@pytest.mark.parametrize('name', VIEWS)
def test_a_map_comes_back(name: str) -> None:
    view = VIEWS[name]
    image = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    seen = view.apply(image)
    assert seen.shape == view.shape(HEIGHT, WIDTH)
    back = view.undo(torch.from_numpy(seen)[None])[0].numpy()
    inside = view.seen(HEIGHT, WIDTH)
    assert (back == image)[inside].all()
    # a shift alone loses pixels: one row or one column of them
    assert (~inside).sum() == {'right': HEIGHT, 'left': HEIGHT, 'down': WIDTH, 'up': WIDTH}.get(name[6:], 0)
    assert (back != image)[~inside].all()


def test_what_views_are() -> None:
    image = np.array([[1, 2, 3], [4, 5, 6]])
    assert VIEWS['flip_horizontal'].apply(image).tolist() == [[3, 2, 1], [6, 5, 4]]
    assert VIEWS['flip_vertical'].apply(image).tolist() == [[4, 5, 6], [1, 2, 3]]
    assert VIEWS['turn_90'].apply(image).tolist() == [[3, 6], [2, 5], [1, 4]]
    assert VIEWS['shift_right'].apply(image).tolist() == [[1, 1, 2], [4, 4, 5]]
    assert VIEWS['shift_up'].apply(image).tolist() == [[4, 5, 6], [4, 5, 6]]
    assert VIEWS['turn_90'].apply(np.zeros((4, 6, 3))).shape == (6, 4, 3)


@pytest.mark.parametrize('view', [*VIEWS.values(), View(mirror=True, turns=3, right=2, down=-1)])
def test_boxes_come_back_as_masks_do(view: View) -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[8:15, 12:31] = 1
    seen = view.apply(mask)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    box = torch.tensor([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], dtype=torch.float32)
    assert view.undo_boxes(box, 30, 40).tolist() == [[12, 8, 31, 15]]
    assert (view.undo(torch.from_numpy(seen)).numpy() == mask).all()


def test_transforms_change_the_image_and_tell_its_size() -> None:
    results: dict[str, Any] = dict(img=np.zeros((5, 8, 3), np.uint8), img_shape=(5, 8), ori_shape=(5, 8))
    results = TakeView('turn_90')(results)
    assert (results['img'].shape, results['img_shape'], results['ori_shape']) == ((8, 5, 3), (8, 5), (5, 8))
    assert TellViewShape('turn_90')(results)['ori_shape'] == (8, 5)


class Seen(BaseMetric):
    """Keeps the samples."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += data_samples

    def compute_metrics(self, results: Any) -> dict[str, float]:
        return {}


def test_metrics_get_predictions_at_the_places_of_the_image() -> None:
    labels = np.arange(40).reshape(5, 8)
    view = VIEWS['turn_90']
    metric = Seen()
    evaluator = ViewEvaluator('turn_90', [metric])
    found = InstanceData(bboxes=torch.tensor([[0.0, 0.0, 2.0, 1.0]]), masks=torch.zeros(1, 8, 5, dtype=torch.bool))
    sample = BaseDataElement(metainfo=dict(ori_shape=(8, 5)), pred_instances=found)
    sample.set_field(PixelData(data=torch.from_numpy(view.apply(labels))[None]), 'pred_sem_seg')
    evaluator.process([sample])
    (seen,) = metric.results
    assert seen['ori_shape'] == (5, 8)
    assert (seen['pred_sem_seg']['data'][0].numpy() == labels).all()
    assert seen['pred_instances']['bboxes'].tolist() == [[7, 0, 8, 2]]
    assert seen['pred_instances']['masks'].shape == (1, 5, 8)
    assert found.bboxes.tolist() == [[0, 0, 2, 1]]
