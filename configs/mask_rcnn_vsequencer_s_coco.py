"""Mask R-CNN, VSequencer, COCO, 1x.

Recipe: Swin-T's in mmdetection (AdamW 1e-4, weight decay 0.05, 8 x 2 images, 12 epochs); drop path as of the
Sequencer2D of that size (arXiv 2205.01972). The authors released no ImageNet weights: name yours with
--cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE.
Command: mmseq train configs/mask_rcnn_vsequencer_s_coco.py --gpus 8
Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = [
    '_base_/models/mask_rcnn.py',
    '_base_/backbones/vsequencer_s.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/coco_1x.py',
    '_base_/runtime/mmdet.py',
]
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
