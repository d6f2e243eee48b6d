"""As mask_rcnn_vil_t_coco.py, with ViL-S."""

_base_ = ['mask_rcnn_vil_t_coco.py', '_base_/backbones/vil_s.py']
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
