"""What is read from upstream's samples, and what is counted in it."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from torch import nn

from mmseq.pictures.masks import Masks
from mmseq.pictures.prediction import Instances, Prediction, box_of, probability, read_instances, read_prediction

PICTURE = np.zeros((4, 6, 3), np.uint8)


def instances(scores, masks=None):
    number = len(scores)
    boxes = np.arange(4 * number, dtype=np.float32).reshape(number, 4)
    return Instances(boxes, np.arange(number) % 2, np.array(scores, np.float32), masks)


def test_instances_come_the_surest_first():
    found = InstanceData(
        bboxes=torch.tensor([[0.0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]]),
        labels=torch.tensor([7, 8, 9]),
        scores=torch.tensor([0.2, 0.9, 0.5]),
        masks=torch.eye(3)[:, :, None].bool(),
    )
    read = read_instances(found)
    assert read.labels.tolist() == [8, 9, 7]
    assert read.boxes[:, 0].tolist() == [2, 4, 0]
    assert [np.flatnonzero(mask[:, 0]).item() for mask in np.asarray(read.masks)] == [1, 2, 0]


def test_boxes_of_a_detector_by_masks_alone():
    masks = torch.zeros(2, 5, 6, dtype=torch.bool)
    masks[0, 1:3, 2:6] = True
    found = InstanceData(
        bboxes=torch.zeros(2, 4), labels=torch.zeros(2).long(), scores=torch.tensor([0.9, 0.8]), masks=masks
    )
    assert read_instances(found).boxes.tolist() == [[2, 1, 6, 3], [0, 0, 0, 0]]
    assert box_of(np.zeros((3, 3), bool)) == (0, 0, 0, 0)


def test_a_threshold_takes_what_reaches_it():
    masks = Masks.of(np.arange(6) >= np.array([5, 3, 0])[:, None, None] * np.ones((3, 4, 1)), (4, 6))
    kept = Prediction(PICTURE, instances([0.9, 0.5, 0.3], masks)).above(0.5)
    assert kept.instances.scores.tolist() == pytest.approx([0.9, 0.5])
    assert kept.instances.masks.areas.tolist() == [4, 12]
    assert Prediction(PICTURE, labels=PICTURE[:, :, 0]).above(0.5).instances is None


def test_counts_and_shares_by_class():
    rows = Prediction(PICTURE, instances([0.9, 0.8, 0.3])).by_class(('a', 'b'))
    assert [(row['name'], row['count']) for row in rows] == [('a', 2), ('b', 1)]
    assert rows[0]['score'] == pytest.approx(0.9)
    labels = np.zeros((4, 6), np.uint8)
    labels[:, 3:] = 1
    labels[0, 0] = 255
    rows = Prediction(PICTURE, labels=labels, certainty=np.full((4, 6), 0.5, np.float32)).by_class(('a', 'b', 'c'))
    assert [(row['name'], row['share']) for row in rows] == [('b', 12 / 24), ('a', 11 / 24)]
    assert rows[0]['certainty'] == pytest.approx(0.5)


def test_panoptic_segments():
    from mmdet.structures import DetDataSample

    ids = torch.full((1, 4, 6), 3)
    ids[0, :2] = 1001
    sample = DetDataSample(pred_panoptic_seg=PixelData(sem_seg=ids))
    found = read_prediction(PICTURE, sample, nn.Identity(), 3, certainty=False)
    assert found.panoptic.max() == 1001
    # Class 3 of 3 is none.
    assert found.by_class(('a', 'b', 'c')) == [dict(index=1, name='b', share=0.5)]


def test_labels_of_mmdet_and_many_classes():
    from mmdet.structures import DetDataSample

    sample = DetDataSample(pred_sem_seg=PixelData(sem_seg=torch.full((1, 4, 6), 299)))
    found = read_prediction(PICTURE, sample, nn.Identity(), 300, certainty=False)
    assert found.labels.dtype == np.uint16
    assert (found.labels == 299).all()


def test_probabilities_by_kind_of_head():
    class Mask2FormerHead(nn.Module):
        pass

    model = nn.Module()
    model.decode_head = nn.Identity()
    logits = torch.tensor([2.0, 1.0, -1.0]).view(3, 1, 1)
    assert probability(logits, model).item() == pytest.approx(torch.softmax(logits[:, 0, 0], 0)[0].item())
    assert probability(torch.full((1, 1, 1), 0.2), model).item() == pytest.approx(0.8)
    model.decode_head = Mask2FormerHead()
    assert probability(torch.tensor([0.6, 0.2]).view(2, 1, 1), model).item() == pytest.approx(0.75)
