"""ViT-S/14 of DINOv2 from timm's weights: global attention, arXiv 2304.07193."""

backbone = dict(
    type='mmseq.Timm',
    name='vit_small_patch14_dinov2',
    drop_path_rate=0.1,
    init_cfg=dict(type='Pretrained', checkpoint='timm://vit_small_patch14_dinov2.lvd142m'),
)
channels = [384, 384, 384, 384]
