"""EfficientViT-B3 from timm's weights: linear attention, arXiv 2205.14756."""

backbone = dict(
    type='mmseq.Timm',
    name='efficientvit_b3',
    drop_path_rate=0.0,
    init_cfg=dict(type='Pretrained', checkpoint='timm://efficientvit_b3.r224_in1k'),
)
channels = [64, 128, 256, 512]
