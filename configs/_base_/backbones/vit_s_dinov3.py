"""ViT-S/16 of DINOv3 from timm's weights: global attention, arXiv 2508.10104."""

backbone = dict(
    type='mmseq.Timm',
    name='vit_small_patch16_dinov3',
    drop_path_rate=0.1,
    init_cfg=dict(type='Pretrained', checkpoint='timm://vit_small_patch16_dinov3.lvd1689m'),
)
channels = [384, 384, 384, 384]
