"""As mask_rcnn_seq2d_s_coco_3x.py, with Sequencer2D-M."""

_base_ = ['mask_rcnn_seq2d_s_coco_3x.py', '_base_/backbones/seq2d_m.py']
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
