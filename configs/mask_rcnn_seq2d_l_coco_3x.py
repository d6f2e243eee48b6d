"""As mask_rcnn_seq2d_s_coco_3x.py, with Sequencer2D-L."""

_base_ = 'mask_rcnn_seq2d_s_coco_3x.py'
weights = 'https://github.com/okojoalg/sequencer/releases/download/weights/sequencer2d_l.pth'
model = dict(backbone=dict(arch='l', drop_path_rate=0.4, init_cfg=dict(checkpoint=weights)))
