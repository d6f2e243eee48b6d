"""Generalized Focal Loss with FPN over maps of strides 8, 16, 32: the model of mmdetection's config of that name."""

# Without this line mmengine takes a file that imports for another kind of config.
_base_ = []

from mmengine.hub import get_config  # noqa: E402

model = get_config('mmdet::gfl/gfl_r50_fpn_1x_coco.py').model
model.backbone = dict(out_indices=(1, 2, 3), out_strides=(8, 16, 32))
model.neck.start_level = 0
