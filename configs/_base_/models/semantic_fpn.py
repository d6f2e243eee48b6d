"""Semantic FPN over maps of strides 4, 8, 16, 32."""

_base_ = 'mmseg::_base_/models/fpn_r50.py'
model = dict(
    # Of the crop, which an image may fall short of. Maps that end where the padded picture ends: logits and labels meet
    # to the pixel, in training and testing.
    data_preprocessor=dict(size=(512, 512), test_cfg=dict(size_divisor=32)),
    pretrained=None,
    backbone=dict(_delete_=True, out_strides=(4, 8, 16, 32)),
    decode_head=dict(num_classes=150),
)
