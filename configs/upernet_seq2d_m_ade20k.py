"""As upernet_seq2d_s_ade20k.py, with Sequencer2D-M."""

_base_ = ['upernet_seq2d_s_ade20k.py', '_base_/backbones/seq2d_m.py']
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')),
)
