"""UperNet over ShiftViT at its native strides 4, 8, 16, 32."""

_base_ = 'mmseg::_base_/models/upernet_swin.py'
model = dict(
    # The norm's statistics see the padding: the model pads to 32 either way, and so it is said here.
    data_preprocessor=dict(size_divisor=32, test_cfg=dict(size_divisor=32)),
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
    decode_head=dict(in_channels=[96, 192, 384, 768], num_classes=150),
    auxiliary_head=dict(in_channels=384, num_classes=150),
)
