"""A classifier on ImageNet-1k at 224 px: 300 epochs of 8 x 256 images with RandAugment, Mixup, CutMix and erasing."""

_base_ = 'pretrain.py'
epochs = 300
model = dict(
    num_classes=1000,
    data_preprocessor=dict(mixing=dict(_delete_=True, mixup_alpha=0.8, cutmix_alpha=1.0), erasing=0.25),
)
dataset = dict(_delete_=True, type='mmseq.ClassImages', data_root='{{$MMSEQ_DATA:data}}/imagenet')
augment = dict(auto_augment='rand-m9-mstd0.5-inc1', interpolation='bicubic')
image = dict(type='mmseq.TimmAugment', image_size=224)
train_dataloader = dict(
    num_workers=8,
    persistent_workers=True,
    dataset=dict(**dataset, part='train', pipeline=[dict(**image, training=True, **augment)]),
)
val_dataloader = dict(
    num_workers=8,
    persistent_workers=True,
    dataset=dict(**dataset, part='val', pipeline=[dict(**image, training=False, interpolation='bicubic')]),
)
test_dataloader = val_dataloader
optim_wrapper = dict(clip_grad=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=0, end=epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=epochs)
auto_scale_lr = dict(base_batch_size=2048)
