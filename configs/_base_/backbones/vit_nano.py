"""ViT of the other nano backbones' size, through timm, from random weights: global attention, arXiv 2010.11929."""

backbone = dict(
    type='mmseq.Timm',
    name='vit_tiny_patch16_224',
    drop_path_rate=0.0,
    options=dict(patch_size=8, embed_dim=72, depth=8, num_heads=3, img_size=128),
    init_cfg=None,
)
channels = [72, 72, 72, 72]
