"""UperNet over Sequencer2D at its native strides 7, 14, 14, 14."""

_base_ = 'mmseg::_base_/models/upernet_swin.py'
model = dict(
    # Maps that end where the padded picture ends: logits and labels meet to the pixel, in training and testing.
    data_preprocessor=dict(size_divisor=14, test_cfg=dict(size_divisor=14)),
    backbone=dict(
        _delete_=True,
        type='mmseq.Sequencer2D',
        arch='s',
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/okojoalg/sequencer/releases/download/weights/sequencer2d_s.pth',
        ),
    ),
    decode_head=dict(in_channels=[192, 384, 384, 384], num_classes=150),
    auxiliary_head=dict(in_channels=384, num_classes=150),
)
