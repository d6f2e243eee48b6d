"""As upernet_vsequencer_s_ade20k.py, with VSequencer(H).

Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = ['upernet_vsequencer_s_ade20k.py', '_base_/backbones/vsequencer_h.py']
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')),
)
