"""As mask_rcnn_shiftvit_t_coco_3x.py, with Shift-B.

The authors have released no weights of this size: it starts from random ones unless init_cfg names a checkpoint.
Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = ['mask_rcnn_shiftvit_t_coco_3x.py', '_base_/backbones/shiftvit_b.py']
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
