"""Faster R-CNN, ViL-T (version 2), COCO, 1x.

Recipe: Swin-T's for Mask R-CNN in mmdetection (AdamW 1e-4, weight decay 0.05, 8 x 2 images, 12 epochs); drop path as in
the authors' segmentation (0, 0.05 and 0.1 for T, S and B).
Command: mmseq train configs/faster_rcnn_vil_t_coco.py --gpus 8
Expected: we know of no reported figure, and have not run it.
"""

_base_ = [
    '_base_/models/faster_rcnn.py',
    '_base_/backbones/vil_t.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/coco_1x.py',
    '_base_/runtime/mmdet.py',
]
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
