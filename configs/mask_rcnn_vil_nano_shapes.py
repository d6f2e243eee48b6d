"""As mask_rcnn_seq2d_nano_shapes.py, with ViL-nano.

Command: tools/train.py configs/mask_rcnn_vil_nano_shapes.py
Expected: not measured; the learning rate of the schedule was chosen for Sequencer2D.
"""

_base_ = 'mask_rcnn_seq2d_nano_shapes.py'
model = dict(
    backbone=dict(_delete_=True, type='mmseq.VisionLSTM', arch='nano', out_strides=(4, 8, 16, 32)),
    neck=dict(in_channels=[64, 64, 64, 64]),
)
