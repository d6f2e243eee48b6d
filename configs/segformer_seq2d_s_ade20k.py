"""SegFormer's head, Sequencer2D-S, ADE20K at 512 px, 160k iterations.

Recipe: SegFormer-B0's in mmsegmentation (AdamW 6e-5, weight decay 0.01, 8 x 2 images, ten times the rate for the head).
Command: mmseq train configs/segformer_seq2d_s_ade20k.py --gpus 8
Expected: we know of no reported figure, and have not run it.
"""

_base_ = [
    '_base_/models/segformer.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/segformer_160k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(backbone=_base_.pop('backbone'), decode_head=dict(in_channels=_base_.pop('channels')))
