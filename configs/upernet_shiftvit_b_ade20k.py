"""As upernet_shiftvit_t_ade20k.py, with Shift-B.

The authors have released no weights of this size: it starts from random ones unless init_cfg names a checkpoint.
Expected: mIoU 47.9 at one scale from ImageNet weights, as others quote the authors; we have not run it.
"""

_base_ = 'upernet_shiftvit_t_ade20k.py'
heads = dict(decode_head=dict(in_channels=[128, 256, 512, 1024]), auxiliary_head=dict(in_channels=512))
model = dict(backbone=dict(arch='b', drop_path_rate=0.6, init_cfg=None), **heads)
