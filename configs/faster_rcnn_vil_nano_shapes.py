"""As faster_rcnn_seq2d_nano_shapes.py, with ViL-nano.

Command: mmseq train configs/faster_rcnn_vil_nano_shapes.py
Expected: not measured yet.
"""

_base_ = ['faster_rcnn_seq2d_nano_shapes.py', '_base_/backbones/vil_nano.py']
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
