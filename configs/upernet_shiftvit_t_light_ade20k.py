"""As upernet_shiftvit_t_ade20k.py, with Shift-T / light.

Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = 'upernet_shiftvit_t_ade20k.py'
weights = 'https://github.com/microsoft/SPACH/releases/download/v1.0/shiftvit_tiny_light.pth'
model = dict(backbone=dict(arch='t_light', drop_path_rate=0.2, init_cfg=dict(checkpoint=weights)))
