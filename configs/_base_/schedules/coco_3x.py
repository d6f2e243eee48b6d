"""COCO, 36 epochs of 8 x 2 images: Swin's for Mask R-CNN (mmdetection, mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x)."""

_base_ = 'coco_1x.py'
train_cfg = dict(max_epochs=36)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=36, milestones=[27, 33], gamma=0.1),
]
