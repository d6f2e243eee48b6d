"""UperNet, Sequencer2D-S, Pascal Context with 59 classes at 480 px, 40k iterations.

Recipe: mmsegmentation's deeplabv3plus_r101-d8_4xb4-40k_pascal-context-59-480x480 (crop, augmentation, 16 images) with
Swin's optimizer for ADE20K (AdamW 6e-5, weight decay 0.01, linear to 0).
Command: mmseq train configs/upernet_seq2d_s_pascal_context_59.py --gpus 8
Expected: nobody has reported a figure, and we have not run it. For scale: mmsegmentation, which has no UperNet here,
reports mIoU single-scale / multi-scale of 52.86 / 54.54 for DeepLabV3+ with ResNet-101 and SGD.
"""

_base_ = [
    '_base_/models/upernet_seq2d.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/pascal_context_59.py',
    '_base_/schedules/pascal_context_40k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    data_preprocessor=dict(size=(490, 490)),
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2], num_classes=59),
    decode_head=dict(in_channels=_base_.pop('channels'), num_classes=59),
)
