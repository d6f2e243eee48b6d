"""Cascade Mask R-CNN, ViL-T (version 2), COCO, 3x with multi-scale and crop augmentation.

Recipe: mmdetection's Cascade Mask R-CNN with the schedule of Swin's Mask R-CNN (AdamW 1e-4, weight decay 0.05, 8 x 2
images, 36 epochs).
Command: mmseq train configs/cascade_mask_rcnn_vil_t_coco_3x.py --gpus 8
Expected: we know of no reported figure, and have not run it.
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn.py',
    '_base_/backbones/vil_t.py',
    '_base_/datasets/coco_instance_ms_crop.py',
    '_base_/schedules/coco_3x.py',
    '_base_/runtime/mmdet.py',
]
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
