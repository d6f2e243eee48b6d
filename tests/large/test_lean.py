"""Mask heads that paste into run lengths: upstream's masks, and the model stays as it is."""

import numpy as np
import torch
from torch import nn

from mmseq.large.lean import lean
from mmseq.model.trained import load_trained
from mmseq.pictures.masks import Masks
from mmseq.predict.predictor import Predictor, collate

DETECTOR = 'configs/mask_rcnn_seq2d_nano_shapes.py'


def test_lean_masks_are_upstreams():
    torch.manual_seed(0)
    _, model = load_trained(DETECTOR, None, device='cpu')
    predictor = Predictor(model)
    image = np.random.default_rng(0).integers(0, 256, (97, 150, 3), dtype=np.uint8)
    data = [predictor.prepare(image).data]
    with torch.no_grad():
        (theirs,), (ours,) = model.test_step(collate(data)), lean(model).test_step(collate(data))
    assert isinstance(ours.pred_instances.masks, Masks)
    assert isinstance(theirs.pred_instances.masks, torch.Tensor)
    assert torch.equal(theirs.pred_instances.bboxes, ours.pred_instances.bboxes)
    pixels = np.asarray(ours.pred_instances.masks) == theirs.pred_instances.masks.numpy()
    assert len(pixels) > 3
    assert pixels.mean() > 0.9999


def test_cascades_have_several_mask_heads():
    from mmdet.models.roi_heads.mask_heads import FCNMaskHead

    model = nn.Module()
    model.roi_head = nn.Module()
    model.roi_head.mask_head = nn.ModuleList([FCNMaskHead(num_classes=1) for _ in range(2)])
    view = lean(model)
    assert [type(head).__name__ for head in view.roi_head.mask_head] == ['LeanMaskHead'] * 2
    assert [type(head).__name__ for head in model.roi_head.mask_head] == ['FCNMaskHead'] * 2
    assert next(view.parameters()) is next(model.parameters())


def test_mask_heads_that_paste_otherwise_are_left_alone():
    from mmdet.models.roi_heads.mask_heads import FCNMaskHead

    class Own(FCNMaskHead):
        def _predict_by_feat_single(self, *args):
            return None

    model = nn.Module()
    model.roi_head = nn.Module()
    model.roi_head.mask_head = Own(num_classes=1)
    assert lean(model) is model


def test_models_without_mask_heads_are_themselves():
    model = nn.Linear(1, 1)
    assert lean(model) is model
