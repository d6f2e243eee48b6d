"""Mask2Former, Sequencer2D-S, COCO panoptic, 50 epochs.

Recipe: mmdetection's Mask2Former with Swin-T (AdamW 1e-4, a tenth for the backbone, weight decay 0.05, 8 x 2 images).
Command: mmseq train configs/mask2former_seq2d_s_coco_panoptic.py --gpus 8
Expected: we know of no reported figure, and have not run it.
"""

_base_ = [
    '_base_/models/mask2former_panoptic.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/coco_panoptic_lsj.py',
    '_base_/schedules/mask2former_50e.py',
    '_base_/runtime/mmdet_iters.py',
]
model = dict(backbone=_base_.pop('backbone'), panoptic_head=dict(in_channels=_base_.pop('channels')))
