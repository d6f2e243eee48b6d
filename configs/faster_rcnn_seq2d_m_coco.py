"""As faster_rcnn_seq2d_s_coco.py, with Sequencer2D-M."""

_base_ = ['faster_rcnn_seq2d_s_coco.py', '_base_/backbones/seq2d_m.py']
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
