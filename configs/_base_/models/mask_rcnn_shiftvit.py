"""Mask R-CNN with FPN over ShiftViT at its native strides 4, 8, 16, 32."""

_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmseq.ShiftViT',
        arch='t',
        drop_path_rate=0.2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/microsoft/SPACH/releases/download/v1.0/shiftvit_tiny_r2.pth',
        ),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
