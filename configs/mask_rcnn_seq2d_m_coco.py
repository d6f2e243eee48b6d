"""As mask_rcnn_seq2d_s_coco.py, with Sequencer2D-M."""

_base_ = 'mask_rcnn_seq2d_s_coco.py'
weights = 'https://github.com/okojoalg/sequencer/releases/download/weights/sequencer2d_m.pth'
model = dict(backbone=dict(arch='m', drop_path_rate=0.2, init_cfg=dict(checkpoint=weights)))
