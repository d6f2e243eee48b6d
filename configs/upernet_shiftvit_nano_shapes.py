"""As upernet_seq2d_nano_shapes.py, with ShiftViT-nano.

Command: mmseq train configs/upernet_shiftvit_nano_shapes.py
Expected: not measured yet.
"""

_base_ = ['upernet_seq2d_nano_shapes.py', '_base_/backbones/shiftvit_nano.py']
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')),
)
