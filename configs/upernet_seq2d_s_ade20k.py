"""UperNet, Sequencer2D-S, ADE20K at 512 px, 160k iterations.

Recipe: Swin-T's in mmsegmentation (AdamW 6e-5, weight decay 0.01, 8 x 2 images); drop path as in the authors' ImageNet
training (arXiv 2205.01972).
Command: mmseq train configs/upernet_seq2d_s_ade20k.py --gpus 8
Expected: nobody has reported a figure, and we have not run it.
"""

_base_ = [
    '_base_/models/upernet_seq2d.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/ade20k_160k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')),
)
