"""Swin-T from timm's weights: windows, arXiv 2103.14030; drop path as in mmdetection."""

backbone = dict(
    type='mmseq.Timm',
    name='swin_tiny_patch4_window7_224',
    drop_path_rate=0.2,
    init_cfg=dict(type='Pretrained', checkpoint='timm://swin_tiny_patch4_window7_224.ms_in1k'),
)
channels = [96, 192, 384, 768]
