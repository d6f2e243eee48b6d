"""As mask_rcnn_vil_t_coco.py, with ViL-S."""

_base_ = 'mask_rcnn_vil_t_coco.py'
weights = 'https://ml.jku.at/research/vision_lstm/download/vil2_small16_e400_in1k.th'
backbone = dict(arch='s', drop_path_rate=0.05, init_cfg=dict(checkpoint=weights))
model = dict(backbone=backbone, neck=dict(in_channels=[384] * 4))
