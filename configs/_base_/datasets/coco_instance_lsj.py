"""COCO 2017 instances with large-scale jittering, taken from mmdetection's Mask2Former recipe."""

_base_ = 'coco_instance.py'

from mmengine.hub import get_config  # noqa: E402

train_pipeline = get_config('mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py').train_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del get_config
