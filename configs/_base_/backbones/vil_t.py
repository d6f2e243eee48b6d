"""ViL-T, version 2, from the authors' ImageNet weights, drop path as in their segmentation (arXiv 2406.04303)."""

backbone = dict(
    type='mmseq.VisionLSTM',
    arch='t',
    drop_path_rate=0.0,
    init_cfg=dict(
        type='Pretrained', checkpoint='https://ml.jku.at/research/vision_lstm/download/vil2_tiny16_e800_in1k.th'
    ),
)
channels = [192, 192, 192, 192]
