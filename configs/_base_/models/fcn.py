"""FCN on a map of stride 16, with an auxiliary head on the one before it."""

_base_ = 'mmseg::_base_/models/fcn_r50-d8.py'
model = dict(
    # Of the crop, which an image may fall short of. Maps that end where the padded picture ends: logits and labels meet
    # to the pixel, in training and testing.
    data_preprocessor=dict(size=(512, 512), test_cfg=dict(size_divisor=32)),
    pretrained=None,
    # Only the levels that a head reads: what nobody reads has parameters that nobody trains.
    backbone=dict(_delete_=True, out_indices=(2, 3), out_strides=(16, 16)),
    decode_head=dict(in_index=1, num_classes=150),
    auxiliary_head=dict(in_index=0, num_classes=150),
)
