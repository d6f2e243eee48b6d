"""As upernet_vil_t_ade20k_authors.py, with ViL-S."""

_base_ = 'upernet_vil_t_ade20k_authors.py'
weights = 'https://ml.jku.at/research/vision_lstm/download/vil2_small16_e400_in1k.th'
backbone = dict(arch='s', drop_path_rate=0.05, init_cfg=dict(checkpoint=weights))
heads = dict(decode_head=dict(in_channels=[384] * 4, channels=384), auxiliary_head=dict(in_channels=384, channels=384))
model = dict(backbone=backbone, neck=dict(in_channels=384), **heads)
