"""Mask2Former, ViL-T (version 2), COCO instances, 50 epochs.

Recipe: mmdetection's Mask2Former with Swin-T (AdamW 1e-4, a tenth for the backbone, weight decay 0.05, 8 x 2 images).
Command: mmseq train configs/mask2former_vil_t_coco.py --gpus 8
Expected: we know of no reported figure, and have not run it.
"""

_base_ = [
    '_base_/models/mask2former_instance.py',
    '_base_/backbones/vil_t.py',
    '_base_/datasets/coco_instance_lsj.py',
    '_base_/schedules/mask2former_50e.py',
    '_base_/runtime/mmdet_iters.py',
]
model = dict(backbone=_base_.pop('backbone'), panoptic_head=dict(in_channels=_base_.pop('channels')))
