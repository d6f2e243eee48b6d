"""Mask R-CNN, ConvNeXt-T, COCO, 3x with multi-scale and crop augmentation: the baseline of ConvNeXt's paper.

Recipe: ConvNeXt-T's in mmdetection (AdamW 1e-4, weight decay 0.05, 8 x 2 images, 36 epochs, drop path 0.4, rates that
fall to the 0.7 of the stem: there by 0.95 for each of seven groups of layers, here by 0.981 for each of the 19 that
timm counts). Theirs ran in mixed precision: add --amp.
Command: mmseq train configs/mask_rcnn_convnext_t_coco_3x.py --gpus 8 --amp
Expected: box AP 46.2, mask AP 41.7, reported by the authors (arXiv 2201.03545); we have not run it.
"""

_base_ = [
    '_base_/models/mask_rcnn.py',
    '_base_/backbones/convnext_t.py',
    '_base_/datasets/coco_instance_ms_crop.py',
    '_base_/schedules/coco_3x_convnext.py',
    '_base_/runtime/mmdet.py',
]
model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
