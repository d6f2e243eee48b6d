"""As mask_rcnn_seq2d_nano_shapes.py, with VSequencer-nano.

Command: tools/train.py configs/mask_rcnn_vsequencer_nano_shapes.py
Expected: not measured yet.
"""

_base_ = 'mask_rcnn_seq2d_nano_shapes.py'
model = dict(backbone=dict(_delete_=True, type='mmseq.VSequencer', arch='nano', out_strides=(4, 8, 16, 32)))
