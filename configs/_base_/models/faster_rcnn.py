"""Faster R-CNN with FPN over maps of strides 4, 8, 16, 32: Mask R-CNN without masks."""

_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'
model = dict(backbone=dict(_delete_=True, out_strides=(4, 8, 16, 32)))
