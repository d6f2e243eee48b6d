"""As mask_rcnn_vil_t_coco.py, with ViL-B."""

_base_ = ['mask_rcnn_vil_t_coco.py', '_base_/backbones/vil_b.py']
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
