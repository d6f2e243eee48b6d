"""Mask R-CNN, Sequencer2D-nano, embedded shapes, from random weights: the demo.

Recipe: ours, for two CPU cores.
Command: make demo, or mmseq train configs/mask_rcnn_seq2d_nano_shapes.py
Expected: box AP of at least 0.20 after some minutes on two CPU cores; make demo checks it.
"""

_base_ = [
    '_base_/models/mask_rcnn.py',
    '_base_/backbones/seq2d_nano.py',
    '_base_/datasets/shapes_instance.py',
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
        mask_roi_extractor=dict(out_channels=64, roi_layer=dict(sampling_ratio=2)),
        mask_head=dict(in_channels=64, conv_out_channels=64, num_convs=2, num_classes=8),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=300, max_per_img=100),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100), rcnn=dict(max_per_img=30)),
)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1))
