"""As upernet_seq2d_nano_shapes.py, with ShiftViT-nano.

Command: tools/train.py configs/upernet_shiftvit_nano_shapes.py
Expected: not measured yet.
"""

_base_ = 'upernet_seq2d_nano_shapes.py'
model = dict(
    backbone=dict(_delete_=True, type='mmseq.ShiftViT', arch='nano'),
    decode_head=dict(in_channels=[24, 48, 96, 192]),
)
