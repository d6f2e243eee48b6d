"""MambaOut-T from timm's weights: gated convolutions, linear, arXiv 2405.07992."""

backbone = dict(
    type='mmseq.Timm',
    name='mambaout_tiny',
    drop_path_rate=0.2,
    init_cfg=dict(type='Pretrained', checkpoint='timm://mambaout_tiny.in1k'),
)
channels = [96, 192, 384, 576]
