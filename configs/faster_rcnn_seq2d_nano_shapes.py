"""Faster R-CNN, Sequencer2D-nano, boxes of the embedded shapes, from random weights: for own boxes, too.

Recipe: ours, for two CPU cores; as mask_rcnn_seq2d_nano_shapes.py without masks.
Command: mmseq train configs/faster_rcnn_seq2d_nano_shapes.py
Expected: not measured yet.
"""

_base_ = [
    '_base_/models/faster_rcnn.py',
    '_base_/backbones/seq2d_nano.py',
    '_base_/datasets/shapes_detection.py',
    '_base_/schedules/shapes_instance_8e.py',
    '_base_/runtime/mmdet.py',
]
model = dict(
    backbone=_base_.pop('backbone'),
    neck=dict(in_channels=_base_.pop('channels'), out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, roi_layer=dict(sampling_ratio=2)),
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=8),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=300, max_per_img=100),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100), rcnn=dict(max_per_img=30)),
)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1))
