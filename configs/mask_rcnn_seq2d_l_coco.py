"""As mask_rcnn_seq2d_s_coco.py, with Sequencer2D-L."""

_base_ = ['mask_rcnn_seq2d_s_coco.py', '_base_/backbones/seq2d_l.py']
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
