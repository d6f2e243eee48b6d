"""Shift-T / light from the authors' ImageNet weights, drop path as in their training."""

_base_ = 'shiftvit_t.py'
backbone = dict(
    arch='t_light',
    drop_path_rate=0.2,
    init_cfg=dict(checkpoint='https://github.com/microsoft/SPACH/releases/download/v1.0/shiftvit_tiny_light.pth'),
)
