"""PoolFormer-S24 from timm's weights: pooling, linear, arXiv 2111.11418."""

backbone = dict(
    type='mmseq.Timm',
    name='poolformer_s24',
    drop_path_rate=0.1,
    init_cfg=dict(type='Pretrained', checkpoint='timm://poolformer_s24.sail_in1k'),
)
channels = [64, 128, 320, 512]
