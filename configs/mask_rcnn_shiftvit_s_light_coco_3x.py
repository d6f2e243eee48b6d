"""As mask_rcnn_shiftvit_t_coco_3x.py, with Shift-S / light.

Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = 'mask_rcnn_shiftvit_t_coco_3x.py'
weights = 'https://github.com/microsoft/SPACH/releases/download/v1.0/shiftvit_small_light.pth'
model = dict(backbone=dict(arch='s_light', drop_path_rate=0.4, init_cfg=dict(checkpoint=weights)))
