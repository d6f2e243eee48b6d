"""Classifier, Shift-T, ImageNet-1k at 224 px, 300 epochs.

Recipe: the defaults of the authors' code (github.com/microsoft/SPACH) with 8 GPUs: AdamW 1e-3, weight decay 0.05, 8 x
128 images, 20 epochs of warm-up, RandAugment, Mixup 0.8, CutMix 1.0, erasing 0.25, label smoothing 0.1, drop path 0.2.
Left out: each image three times in an epoch of a third of the images, and the moving average beside the weights.
Command: mmseq pretrain configs/classifier_shiftvit_t_imagenet.py --data imagenet --gpus 8 --amp
Expected: top-1 of 81.7, reported by the authors; we have not run it.
"""

_base_ = ['_base_/pretrain_imagenet.py', '_base_/backbones/shiftvit_t.py']
_base_.pop('channels')
model = dict(backbone=dict(_base_.pop('backbone'), init_cfg=None))
train_dataloader = dict(batch_size=128)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=1024)
