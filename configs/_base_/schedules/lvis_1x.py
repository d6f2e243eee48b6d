"""LVIS, 12 epochs of 8 x 2 images: coco_1x.py; mmdetection trains LVIS v1 by the same rates as COCO, too."""

_base_ = 'coco_1x.py'
