"""UperNet, Sequencer2D-S, Cityscapes at 512 x 1024 px, 80k iterations.

Recipe: mmsegmentation's upernet_r50_4xb2-80k_cityscapes-512x1024 (crop, augmentation, 4 x 2 images) with Swin's
optimizer for ADE20K (AdamW 6e-5, weight decay 0.01, linear to 0).
Command: mmseq train configs/upernet_seq2d_s_cityscapes.py --gpus 4
Expected: nobody has reported a figure, and we have not run it. For scale: mmsegmentation reports mIoU single-scale /
multi-scale of 78.19 / 79.19 for ResNet-50 with SGD.
"""

_base_ = [
    '_base_/models/upernet_seq2d.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/cityscapes.py',
    '_base_/schedules/cityscapes_80k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    data_preprocessor=dict(size=(518, 1036)),
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2], num_classes=19),
    decode_head=dict(in_channels=_base_.pop('channels'), num_classes=19),
)
