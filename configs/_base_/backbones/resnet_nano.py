"""ResNet of the other nano backbones' size, through timm, from random weights: convolutions, arXiv 1512.03385."""

backbone = dict(
    type='mmseq.Timm',
    name='resnet18',
    drop_path_rate=0.0,
    options=dict(channels=(24, 32, 64, 96), layers=(2, 2, 2, 2), stem_width=24),
    init_cfg=None,
)
channels = [24, 32, 64, 96]
