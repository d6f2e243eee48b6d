"""UperNet over Vision-LSTM, resampled to strides 4, 8, 16, 32."""

_base_ = 'mmseg::_base_/models/upernet_swin.py'
model = dict(
    # Maps that end where the padded picture ends: logits and labels meet to the pixel, in training and testing.
    data_preprocessor=dict(size_divisor=32, test_cfg=dict(size_divisor=32)),
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
    decode_head=dict(in_channels=[192, 192, 192, 192], num_classes=150),
    auxiliary_head=dict(in_channels=192, num_classes=150),
)
