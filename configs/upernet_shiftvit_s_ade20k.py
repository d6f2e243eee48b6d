"""As upernet_shiftvit_t_ade20k.py, with Shift-S.

Expected: mIoU 47.8 at one scale, as others quote the authors; we have not run it.
"""

_base_ = ['upernet_shiftvit_t_ade20k.py', '_base_/backbones/shiftvit_s.py']
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')),
)
