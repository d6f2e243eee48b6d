"""UperNet, ViL-T (version 2), ADE20K at 512 px, 160k iterations.

Recipe: Swin-T's in mmsegmentation (AdamW 6e-5, weight decay 0.01, 8 x 2 images); drop path as in the authors'
segmentation (0, 0.05 and 0.1 for T, S and B). The authors' own recipe is upernet_vil_t_ade20k_authors.py.
Command: mmseq train configs/upernet_vil_t_ade20k.py --gpus 8
Expected: nobody has reported a figure for this recipe, and we have not run it.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/backbones/vil_t.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/ade20k_160k.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')),
)
