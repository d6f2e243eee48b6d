"""Mask R-CNN, Swin-T, COCO, 1x: the baseline of Swin's paper.

Recipe: Swin-T's in mmdetection (AdamW 1e-4, weight decay 0.05, 8 x 2 images, 12 epochs, drop path 0.2).
Command: mmseq train configs/mask_rcnn_swin_t_coco.py --gpus 8
Expected: box AP 42.7, mask AP 39.3, reported by mmdetection for its own Swin-T, whose parameters and features are
these; we have not run it.
"""

_base_ = [
    '_base_/models/mask_rcnn.py',
    '_base_/backbones/swin_t.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/coco_1x.py',
    '_base_/runtime/mmdet.py',
]
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
