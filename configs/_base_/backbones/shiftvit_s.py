"""Shift-S from the authors' ImageNet weights, drop path as in their training."""

_base_ = 'shiftvit_t.py'
backbone = dict(
    arch='s',
    drop_path_rate=0.4,
    init_cfg=dict(checkpoint='https://github.com/microsoft/SPACH/releases/download/v1.0/shiftvit_small_r2.pth'),
)
