"""ConvNeXt of the other nano backbones' size, through timm, from random weights: convolutions, arXiv 2201.03545."""

backbone = dict(
    type='mmseq.Timm',
    name='convnext_tiny',
    drop_path_rate=0.0,
    options=dict(dims=(18, 36, 72, 144), depths=(2, 2, 2, 2)),
    init_cfg=None,
)
channels = [18, 36, 72, 144]
