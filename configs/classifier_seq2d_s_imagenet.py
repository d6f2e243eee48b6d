"""Classifier, Sequencer2D-S, ImageNet-1k at 224 px, 300 epochs.

Recipe: the authors' command (github.com/okojoalg/sequencer): AdamW 2e-3, weight decay 0.05, 8 x 256 images, 20 epochs
of warm-up, RandAugment, Mixup 0.8, CutMix 1.0, erasing 0.25, label smoothing 0.1, drop path 0.1.
Command: mmseq pretrain configs/classifier_seq2d_s_imagenet.py --data imagenet --gpus 8 --amp
Expected: top-1 of 82.3, reported by the authors; we have not run it.
"""

_base_ = ['_base_/pretrain_imagenet.py', '_base_/backbones/seq2d_s.py']
_base_.pop('channels')
model = dict(backbone=dict(_base_.pop('backbone'), init_cfg=None))
