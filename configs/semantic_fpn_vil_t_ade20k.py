"""Semantic FPN, ViL-T (version 2), ADE20K at 512 px, 40k iterations.

Recipe: PoolFormer's in mmsegmentation (AdamW 2e-4, weight decay 1e-4, poly 0.9, 8 x 4 images).
Command: mmseq train configs/semantic_fpn_vil_t_ade20k.py --gpus 8
Expected: we know of no reported figure, and have not run it.
"""

_base_ = [
    '_base_/models/semantic_fpn.py',
    '_base_/backbones/vil_t.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/semantic_fpn_40k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
train_dataloader = dict(batch_size=4)
