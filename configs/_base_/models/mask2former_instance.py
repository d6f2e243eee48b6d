"""Mask2Former for instances over maps of strides 4, 8, 16, 32: the model of mmdetection's config of that name."""

# Without this line mmengine takes a file that imports for another kind of config.
_base_ = []

from mmengine.hub import get_config  # noqa: E402

model = get_config('mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py').model
model.backbone = dict(out_strides=(4, 8, 16, 32))
