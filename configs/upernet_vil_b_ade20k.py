"""As upernet_vil_t_ade20k.py, with ViL-B."""

_base_ = ['upernet_vil_t_ade20k.py', '_base_/backbones/vil_b.py']
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')),
)
