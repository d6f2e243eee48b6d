"""Cityscapes' instances, 8 epochs over 8 repeats, of 8 x 1 images: mmdetection's, with AdamW at half of COCO's rate."""

_base_ = 'coco_1x.py'
train_cfg = dict(max_epochs=8)
optim_wrapper = dict(optimizer=dict(lr=5e-5))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=8, milestones=[7], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=8)
