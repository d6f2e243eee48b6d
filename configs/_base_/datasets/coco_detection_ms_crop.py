"""COCO 2017 boxes with the multi-scale and crop augmentation of DETR, taken from mmdetection's DINO recipe."""

_base_ = 'coco_detection.py'

from mmengine.hub import get_config  # noqa: E402

train_pipeline = get_config('mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py').train_pipeline
train_dataloader = dict(dataset=dict(filter_cfg=dict(filter_empty_gt=False), pipeline=train_pipeline))
del get_config
