"""As upernet_shiftvit_t_ade20k.py, with Shift-T / light.

Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = ['upernet_shiftvit_t_ade20k.py', '_base_/backbones/shiftvit_t_light.py']
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')),
)
