"""As upernet_vil_t_ade20k_authors.py, with ViL-S."""

_base_ = ['upernet_vil_t_ade20k_authors.py', '_base_/backbones/vil_s.py']
model = dict(
    backbone=_base_.pop('backbone'),
    neck=dict(in_channels=_base_.channels[2]),
    auxiliary_head=dict(in_channels=_base_.channels[2], channels=384),
    decode_head=dict(in_channels=_base_.pop('channels'), channels=384),
)
