"""As mask_rcnn_shiftvit_t_coco.py, with Shift-B.

The authors have released no weights of this size: it starts from random ones unless init_cfg names a checkpoint.
Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = 'mask_rcnn_shiftvit_t_coco.py'
model = dict(
    backbone=dict(arch='b', drop_path_rate=0.6, init_cfg=None),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
