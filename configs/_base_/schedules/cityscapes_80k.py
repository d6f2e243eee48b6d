"""Cityscapes, 80k iterations of 4 x 2 images: mmsegmentation's for UperNet, with the optimizer of ade20k_160k.py."""

_base_ = 'ade20k_160k.py'
train_cfg = dict(max_iters=80000, val_interval=8000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=1500, end=80000),
]
default_hooks = dict(checkpoint=dict(interval=8000))
auto_scale_lr = dict(base_batch_size=8)
