"""XCiT-S12/16 from timm's weights: attention between channels, linear in the cells, arXiv 2106.09681."""

backbone = dict(
    type='mmseq.Timm',
    name='xcit_small_12_p16_224',
    drop_path_rate=0.05,
    init_cfg=dict(type='Pretrained', checkpoint='timm://xcit_small_12_p16_224.fb_in1k'),
)
channels = [384, 384, 384, 384]
