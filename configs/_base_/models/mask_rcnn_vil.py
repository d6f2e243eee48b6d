"""Mask R-CNN with FPN over Vision-LSTM, resampled to strides 4, 8, 16, 32."""

_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmseq.VisionLSTM',
        arch='t',
        out_strides=(4, 8, 16, 32),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://ml.jku.at/research/vision_lstm/download/vil2_tiny16_e800_in1k.th',
        ),
    ),
    neck=dict(in_channels=[192, 192, 192, 192]),
)
