"""Mask2Former, Sequencer2D-S, ADE20K at 512 px, 160k iterations.

Recipe: mmsegmentation's Mask2Former with Swin-T (AdamW 1e-4, a tenth for the backbone, weight decay 0.05, 8 x 2
images).
Command: mmseq train configs/mask2former_seq2d_s_ade20k.py --gpus 8
Expected: we know of no reported figure, and have not run it.
"""

_base_ = [
    '_base_/models/mask2former_semantic.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/ade20k_shortest_edge.py',
    '_base_/schedules/mask2former_160k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(backbone=_base_.pop('backbone'), decode_head=dict(in_channels=_base_.pop('channels')))
