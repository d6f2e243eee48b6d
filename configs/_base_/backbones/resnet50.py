"""ResNet-50 from timm's weights: convolutions, arXiv 1512.03385; statistics as they are, as in mmdetection."""

backbone = dict(
    type='mmseq.Timm',
    name='resnet50',
    drop_path_rate=0.0,
    norm_eval=True,
    init_cfg=dict(type='Pretrained', checkpoint='timm://resnet50.a1_in1k'),
)
channels = [256, 512, 1024, 2048]
