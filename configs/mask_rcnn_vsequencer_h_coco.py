"""As mask_rcnn_vsequencer_s_coco.py, with VSequencer(H).

Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = ['mask_rcnn_vsequencer_s_coco.py', '_base_/backbones/vsequencer_h.py']
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
