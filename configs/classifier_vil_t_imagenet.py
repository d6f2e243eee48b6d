"""Classifier, ViL-T, version 2, ImageNet-1k at 192 px, 800 epochs.

Recipe: the authors' configs (github.com/NX-AI/vision-lstm): AdamW 2e-3, weight decay 0.05, 8 x 256 images, 5 epochs of
warm-up, three-augment and colour jitter 0.3, Mixup 0.8 or CutMix 1.0, gradients of at most 1, no erasing, no smoothing,
no drop path. Theirs continues for some epochs at 224 px.
Command: mmseq pretrain configs/classifier_vil_t_imagenet.py --data imagenet --gpus 8 --amp
Expected: top-1 of 78.3, reported by the authors, continued at 224 px; we have not run it.
"""

_base_ = ['_base_/pretrain_imagenet.py', '_base_/backbones/vil_t.py']
_base_.pop('channels')
model = dict(backbone=dict(_base_.pop('backbone'), init_cfg=None), label_smoothing=0.0)
model.update(data_preprocessor=dict(erasing=0.0))
image = dict(type='mmseq.TimmAugment', image_size=192, interpolation='bicubic')
train_dataloader = dict(dataset=dict(pipeline=[dict(**image, training=True, auto_augment='3a', color_jitter=0.3)]))
val_dataloader = dict(dataset=dict(pipeline=[dict(**image, training=False)]))
test_dataloader = val_dataloader
optim_wrapper = dict(clip_grad=dict(_delete_=True, max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=True, begin=0, end=800, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=800)
