"""As mask_rcnn_vil_t_coco.py, with ViL-B."""

_base_ = 'mask_rcnn_vil_t_coco.py'
weights = 'https://ml.jku.at/research/vision_lstm/download/vil2_base16_e400_in1k.th'
backbone = dict(arch='b', drop_path_rate=0.1, init_cfg=dict(checkpoint=weights))
model = dict(backbone=backbone, neck=dict(in_channels=[768] * 4))
