"""As mask_rcnn_seq2d_nano_shapes.py, with ViL-nano.

Command: mmseq train configs/mask_rcnn_vil_nano_shapes.py
Expected: not measured; the learning rate of the schedule was chosen for Sequencer2D.
"""

_base_ = ['mask_rcnn_seq2d_nano_shapes.py', '_base_/backbones/vil_nano.py']
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
