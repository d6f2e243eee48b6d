"""ConvNeXt-S from timm's weights: convolutions, arXiv 2201.03545; drop path as in its authors' detectors."""

backbone = dict(
    type='mmseq.Timm',
    name='convnext_small',
    drop_path_rate=0.6,
    init_cfg=dict(type='Pretrained', checkpoint='timm://convnext_small.fb_in1k'),
)
channels = [96, 192, 384, 768]
