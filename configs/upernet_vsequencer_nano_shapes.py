"""As upernet_seq2d_nano_shapes.py, with VSequencer-nano.

Command: mmseq train configs/upernet_vsequencer_nano_shapes.py
Expected: not measured yet.
"""

_base_ = ['upernet_seq2d_nano_shapes.py', '_base_/backbones/vsequencer_nano.py']
model = dict(
    backbone=dict(_base_.pop('backbone'), out_strides=None),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')),
)
