"""UperNet, Sequencer2D-S, Pascal VOC 2012 with SBD's label maps at 512 px, 40k iterations.

Recipe: mmsegmentation's upernet_r50_4xb4-40k_voc12aug-512x512 (crop, augmentation, 16 images) with Swin's optimizer for
ADE20K (AdamW 6e-5, weight decay 0.01, linear to 0).
Command: mmseq train configs/upernet_seq2d_s_voc12_aug.py --gpus 8
Expected: nobody has reported a figure, and we have not run it. For scale: mmsegmentation reports mIoU single-scale /
multi-scale of 75.92 / 77.44 for ResNet-50 with SGD.
"""

_base_ = [
    '_base_/models/upernet_seq2d.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/voc12_aug.py',
    '_base_/schedules/voc12_40k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2], num_classes=21),
    decode_head=dict(in_channels=_base_.pop('channels'), num_classes=21),
)
