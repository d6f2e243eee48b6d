"""DeepLabV3+, Sequencer2D-S, ADE20K at 512 px, 160k iterations.

Recipe: mmsegmentation's DeepLabV3+ at output stride 16 with the schedule of Swin's UperNet (AdamW 6e-5, weight decay
0.01, 8 x 2 images).
Command: mmseq train configs/deeplabv3plus_seq2d_s_ade20k.py --gpus 8
Expected: we know of no reported figure, and have not run it.
"""

_base_ = [
    '_base_/models/deeplabv3plus.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/ade20k_160k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(c1_in_channels=_base_.channels[0], in_channels=_base_.pop('channels')[3]),
)
