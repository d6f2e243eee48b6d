"""DeepLabV3+ at output stride 16 with the dilations of its paper for that stride; details from a map of stride 4."""

_base_ = 'mmseg::_base_/models/deeplabv3plus_r50-d8.py'
model = dict(
    # Of the crop, which an image may fall short of. Maps that end where the padded picture ends: logits and labels meet
    # to the pixel, in training and testing.
    data_preprocessor=dict(size=(512, 512), test_cfg=dict(size_divisor=32)),
    pretrained=None,
    # Only the levels that a head reads: what nobody reads has parameters that nobody trains.
    backbone=dict(_delete_=True, out_indices=(0, 2, 3), out_strides=(4, 16, 16)),
    decode_head=dict(in_index=2, dilations=(1, 6, 12, 18), num_classes=150),
    auxiliary_head=dict(in_index=1, num_classes=150),
)
