"""Mask R-CNN, Sequencer2D-S, Cityscapes, 8 epochs over the training images repeated 8 times.

Recipe: mmdetection's mask-rcnn_r50_fpn_1x_cityscapes (shorter side 800 to 1024 px, 8 x 1 images) with Swin's optimizer
for COCO at half the rate for half the images (AdamW 5e-5, weight decay 0.05). Upstream begins with a detector trained
on COCO; so does --load-from CHECKPOINT --allow-partial roi_head.bbox_head.fc_cls roi_head.bbox_head.fc_reg
roi_head.mask_head.conv_logits.
Command: mmseq train configs/mask_rcnn_seq2d_s_cityscapes.py --gpus 8
Expected: nobody has reported a figure, and we have not run it. For scale: mmdetection reports box AP 40.9 and mask AP
36.4 for ResNet-50 with SGD, from COCO's weights.
"""

_base_ = [
    '_base_/models/mask_rcnn.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/cityscapes_instance.py',
    '_base_/schedules/cityscapes_8e.py',
    '_base_/runtime/mmdet.py',
]
model = dict(
    backbone=_base_.pop('backbone'),
    neck=dict(in_channels=_base_.pop('channels')),
    roi_head=dict(bbox_head=dict(num_classes=8), mask_head=dict(num_classes=8)),
)
