"""Mask R-CNN, Sequencer2D-S, LVIS v1, 1x, rare classes repeated in training.

Recipe: mmdetection's mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1 (images with rare classes repeated, threshold 1e-3,
shorter side 640 to 800 px, 8 x 2 images, 12 epochs, 300 detections an image) with Swin's optimizer for COCO (AdamW
1e-4, weight decay 0.05).
Command: mmseq train configs/mask_rcnn_seq2d_s_lvis.py --gpus 8
Expected: nobody has reported a figure, and we have not run it. For scale: mmdetection reports box AP 22.5 and mask AP
21.7 for ResNet-50 with SGD.
"""

_base_ = [
    '_base_/models/mask_rcnn.py',
    '_base_/backbones/seq2d_s.py',
    '_base_/datasets/lvis_instance.py',
    '_base_/schedules/lvis_1x.py',
    '_base_/runtime/mmdet.py',
]
model = dict(
    backbone=_base_.pop('backbone'),
    neck=dict(in_channels=_base_.pop('channels')),
    roi_head=dict(bbox_head=dict(num_classes=1203), mask_head=dict(num_classes=1203)),
    test_cfg=dict(rcnn=dict(score_thr=1e-4, max_per_img=300)),
)
