"""Pascal VOC's boxes, 4 epochs over 3 repeats, of 8 x 2 images: mmdetection's, with AdamW and its warm-up from COCO."""

_base_ = 'coco_1x.py'
train_cfg = dict(max_epochs=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=4, milestones=[3], gamma=0.1),
]
