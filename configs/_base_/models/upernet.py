"""UperNet over maps of strides 4, 8, 16, 32, with an auxiliary head on the third."""

_base_ = 'mmseg::_base_/models/upernet_swin.py'
model = dict(
    # Of the crop, which an image may fall short of. Maps that end where the padded picture ends: logits and labels meet
    # to the pixel, in training and testing.
    data_preprocessor=dict(size=(512, 512), test_cfg=dict(size_divisor=32)),
    backbone=dict(_delete_=True, out_strides=(4, 8, 16, 32)),
    decode_head=dict(num_classes=150),
    auxiliary_head=dict(num_classes=150),
)
