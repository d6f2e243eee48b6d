"""As mask_rcnn_seq2d_nano_shapes.py, with ShiftViT-nano.

Command: tools/train.py configs/mask_rcnn_shiftvit_nano_shapes.py
Expected: not measured yet.
"""

_base_ = 'mask_rcnn_seq2d_nano_shapes.py'
model = dict(
    backbone=dict(_delete_=True, type='mmseq.ShiftViT', arch='nano'),
    neck=dict(in_channels=[24, 48, 96, 192]),
)
