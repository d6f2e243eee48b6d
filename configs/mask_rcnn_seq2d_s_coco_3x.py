"""Mask R-CNN, Sequencer2D-S, COCO, 3x with multi-scale and crop augmentation.

Recipe: Swin-T's in mmdetection (AdamW 1e-4, weight decay 0.05, 8 x 2 images, 36 epochs); drop path as in the authors'
ImageNet training (arXiv 2205.01972).
Command: mmseq train configs/mask_rcnn_seq2d_s_coco_3x.py --gpus 8
Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = [
    '_base_/models/mask_rcnn.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/coco_instance_ms_crop.py',
    '_base_/schedules/coco_3x.py',
    '_base_/runtime/mmdet.py',
]
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
