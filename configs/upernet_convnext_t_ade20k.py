"""UperNet, ConvNeXt-T, ADE20K at 512 px, 160k iterations: the baseline of ConvNeXt's paper.

Recipe: ConvNeXt-T's in mmsegmentation (AdamW 1e-4, weight decay 0.05, 8 x 2 images, drop path 0.4, sliding windows,
rates that fall to the 0.48 of the stem: there by 0.9 for each of seven groups of layers, here by 0.962 for each of the
19 that timm counts). Theirs ran in mixed precision: add --amp.
Command: mmseq train configs/upernet_convnext_t_ade20k.py --gpus 8 --amp
Expected: mIoU single-scale / multi-scale of 46.0 / 46.7, reported by the authors (arXiv 2201.03545); we have not run
it.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/backbones/convnext_t.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/ade20k_160k_convnext.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
    decode_head=dict(in_channels=_base_.pop('channels')),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
)
