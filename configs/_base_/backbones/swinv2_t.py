"""Swin-V2-T from timm's weights: windows, arXiv 2111.09883; drop path as in its training."""

backbone = dict(
    type='mmseq.Timm',
    name='swinv2_tiny_window8_256',
    drop_path_rate=0.2,
    init_cfg=dict(type='Pretrained', checkpoint='timm://swinv2_tiny_window8_256.ms_in1k'),
)
channels = [96, 192, 384, 768]
