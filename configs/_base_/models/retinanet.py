"""RetinaNet with FPN over maps of strides 8, 16, 32; it has no use for a level of stride 4."""

_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'
model = dict(
    backbone=dict(_delete_=True, out_indices=(1, 2, 3), out_strides=(8, 16, 32)),
    neck=dict(start_level=0),
)
