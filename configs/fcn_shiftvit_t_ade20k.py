"""FCN, Shift-T, ADE20K at 512 px, 160k iterations.

Recipe: mmsegmentation's FCN with the schedule of Swin's UperNet (AdamW 6e-5, weight decay 0.01, 8 x 2 images).
Command: mmseq train configs/fcn_shiftvit_t_ade20k.py --gpus 8
Expected: we know of no reported figure, and have not run it.
"""

_base_ = [
    '_base_/models/fcn.py',
    '_base_/backbones/shiftvit_t.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/ade20k_160k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')[3]),
)
