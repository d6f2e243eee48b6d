"""Mask R-CNN, Sequencer2D-S, COCO's images with COCO-ReM's corrected annotations, 1x.

Recipe: that of mask_rcnn_seq2d_s_coco.py with other annotation files (arXiv 2403.18819).
Command: mmseq train configs/mask_rcnn_seq2d_s_coco_rem.py --gpus 8
Expected: we know of no reported figure for this model, and have not run it. Figures on COCO-ReM and on COCO cannot be
compared: the true objects differ.
"""

_base_ = [
    '_base_/models/mask_rcnn.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/coco_rem_instance.py',
    '_base_/schedules/coco_1x.py',
    '_base_/runtime/mmdet.py',
]
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
