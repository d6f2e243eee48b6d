"""UperNet, Sequencer2D-S, Pascal Context with the background as the first of 60 classes at 480 px, 40k iterations.

Recipe: that of upernet_seq2d_s_pascal_context_59.py.
Command: mmseq train configs/upernet_seq2d_s_pascal_context.py --gpus 8
Expected: nobody has reported a figure, and we have not run it. For scale: mmsegmentation, which has no UperNet here,
reports mIoU single-scale / multi-scale of 47.30 / 48.47 for DeepLabV3+ with ResNet-101 and SGD.
"""

_base_ = [
    '_base_/models/upernet_seq2d.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/pascal_context.py',
    '_base_/schedules/pascal_context_40k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    data_preprocessor=dict(size=(490, 490)),
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2], num_classes=60),
    decode_head=dict(in_channels=_base_.pop('channels'), num_classes=60),
)
