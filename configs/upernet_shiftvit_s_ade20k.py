"""As upernet_shiftvit_t_ade20k.py, with Shift-S.

Expected: mIoU 47.8 at one scale, as others quote the authors; we have not run it.
"""

_base_ = 'upernet_shiftvit_t_ade20k.py'
weights = 'https://github.com/microsoft/SPACH/releases/download/v1.0/shiftvit_small_r2.pth'
model = dict(backbone=dict(arch='s', drop_path_rate=0.4, init_cfg=dict(checkpoint=weights)))
