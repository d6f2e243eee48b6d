"""Swin of the other nano backbones' size, through timm, from random weights: windows, arXiv 2103.14030."""

backbone = dict(
    type='mmseq.Timm',
    name='swin_tiny_patch4_window7_224',
    drop_path_rate=0.0,
    options=dict(embed_dim=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8)),
    init_cfg=None,
)
channels = [16, 32, 64, 128]
