"""As mask_rcnn_shiftvit_t_coco_3x.py, with Shift-S / light.

Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = ['mask_rcnn_shiftvit_t_coco_3x.py', '_base_/backbones/shiftvit_s_light.py']
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
