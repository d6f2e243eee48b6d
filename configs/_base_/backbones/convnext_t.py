"""ConvNeXt-T from timm's weights: convolutions, arXiv 2201.03545; drop path as in its authors' detectors."""

backbone = dict(
    type='mmseq.Timm',
    name='convnext_tiny',
    drop_path_rate=0.4,
    init_cfg=dict(type='Pretrained', checkpoint='timm://convnext_tiny.fb_in1k'),
)
channels = [96, 192, 384, 768]
