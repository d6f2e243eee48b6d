"""Faster R-CNN, Sequencer2D-S, Pascal VOC 2007 and 2012, 4 epochs over the training images repeated 3 times.

Recipe: mmdetection's faster-rcnn_r50_fpn_1x_voc0712 (1000 x 600 px, 8 x 2 images) with Swin's optimizer for COCO (AdamW
1e-4, weight decay 0.05, its warm-up).
Command: mmseq train configs/faster_rcnn_seq2d_s_voc0712.py --gpus 8
Expected: nobody has reported a figure, and we have not run it. For scale: mmdetection reports AP50 79.5 on VOC 2007's
test images, by the mean of 11 points, for ResNet-50 with SGD.
"""

_base_ = [
    '_base_/models/faster_rcnn.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/voc0712.py',
    '_base_/schedules/voc0712_4e.py',
    '_base_/runtime/mmdet.py',
]
model = dict(
    backbone=_base_.pop('backbone'),
    neck=dict(in_channels=_base_.pop('channels')),
    roi_head=dict(bbox_head=dict(num_classes=20)),
)
