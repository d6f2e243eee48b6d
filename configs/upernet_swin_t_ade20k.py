"""UperNet, Swin-T, ADE20K at 512 px, 160k iterations: the baseline of Swin's paper.

Recipe: Swin-T's in mmsegmentation (AdamW 6e-5, weight decay 0.01, 8 x 2 images, drop path 0.3).
Command: mmseq train configs/upernet_swin_t_ade20k.py --gpus 8
Expected: mIoU single-scale / multi-scale of 44.4 / 45.8, reported by mmsegmentation for its own Swin-T, whose
parameters and features are these; we have not run it.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/backbones/swin_t.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/ade20k_160k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    backbone=dict(_base_.pop('backbone'), drop_path_rate=0.3),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')),
)
