"""Generalized Focal Loss, Shift-T, COCO, 1x.

Recipe: mmdetection's GFL with the schedule of Swin's Mask R-CNN (AdamW 1e-4, weight decay 0.05, 8 x 2 images, 12
epochs).
Command: mmseq train configs/gfl_shiftvit_t_coco.py --gpus 8
Expected: we know of no reported figure, and have not run it.
"""

_base_ = [
    '_base_/models/gfl.py',
    '_base_/backbones/shiftvit_t.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/coco_1x.py',
    '_base_/runtime/mmdet.py',
]
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')[1:]))
