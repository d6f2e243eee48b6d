"""DINO with four levels, Shift-T, COCO, 12 epochs.

Recipe: mmdetection's dino-4scale_r50_8xb2-12e (AdamW 1e-4, a tenth for the backbone, weight decay 1e-4, 8 x 2 images).
Command: mmseq train configs/dino_shiftvit_t_coco.py --gpus 8
Expected: we know of no reported figure, and have not run it.
"""

_base_ = [
    '_base_/models/dino.py',
    '_base_/backbones/shiftvit_t.py',
    '_base_/datasets/coco_detection_ms_crop.py',
    '_base_/schedules/dino_12e.py',
    '_base_/runtime/mmdet.py',
]
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')[1:]))
