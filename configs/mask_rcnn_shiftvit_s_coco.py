"""As mask_rcnn_shiftvit_t_coco.py, with Shift-S.

Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = 'mask_rcnn_shiftvit_t_coco.py'
weights = 'https://github.com/microsoft/SPACH/releases/download/v1.0/shiftvit_small_r2.pth'
model = dict(backbone=dict(arch='s', drop_path_rate=0.4, init_cfg=dict(checkpoint=weights)))
