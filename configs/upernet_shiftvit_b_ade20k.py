"""As upernet_shiftvit_t_ade20k.py, with Shift-B.

The authors have released no weights of this size: it starts from random ones unless init_cfg names a checkpoint.
Expected: mIoU 47.9 at one scale from ImageNet weights, as others quote the authors; we have not run it.
"""

_base_ = ['upernet_shiftvit_t_ade20k.py', '_base_/backbones/shiftvit_b.py']
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')),
)
