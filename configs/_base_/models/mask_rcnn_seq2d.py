"""Mask R-CNN with FPN over Sequencer2D, resampled to strides 4, 8, 16, 32."""

_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmseq.Sequencer2D',
        arch='s',
        out_strides=(4, 8, 16, 32),
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/okojoalg/sequencer/releases/download/weights/sequencer2d_s.pth',
        ),
    ),
    neck=dict(in_channels=[192, 384, 384, 384]),
)
