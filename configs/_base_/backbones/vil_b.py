"""ViL-B, version 2, from the authors' ImageNet weights, drop path as in their segmentation."""

_base_ = 'vil_t.py'
backbone = dict(
    arch='b',
    drop_path_rate=0.1,
    init_cfg=dict(checkpoint='https://ml.jku.at/research/vision_lstm/download/vil2_base16_e400_in1k.th'),
)
channels = [768, 768, 768, 768]
