"""COCO 2017 instances with the multi-scale and crop augmentation of DETR, taken from mmdetection's Swin recipe."""

_base_ = 'coco_instance.py'

from mmengine.hub import get_config  # noqa: E402

_swin = get_config('mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py')
train_pipeline = _swin.train_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del get_config, _swin
