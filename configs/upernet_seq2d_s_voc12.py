"""UperNet, Sequencer2D-S, the 1,464 training images of Pascal VOC 2012 alone at 512 px, 40k iterations.

Recipe: that of upernet_seq2d_s_voc12_aug.py.
Command: mmseq train configs/upernet_seq2d_s_voc12.py --gpus 8
Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = [
    '_base_/models/upernet_seq2d.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/voc12.py',
    '_base_/schedules/voc12_40k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2], num_classes=21),
    decode_head=dict(in_channels=_base_.pop('channels'), num_classes=21),
)
