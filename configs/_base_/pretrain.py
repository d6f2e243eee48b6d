"""A classifier on images of classes, complete: `mmseq pretrain` puts backbone, data, size and length into it.

Packed images of 64 px, random crops and flips, smoothed labels, AdamW and a cosine.
"""

_base_ = 'runtime/common.py'
default_scope = 'mmengine'
epochs = 30
model = dict(
    type='mmseq.ImageClassifier',
    backbone=dict(type='mmseq.Sequencer2D', arch='nano', out_indices=(3,)),
    num_classes=200,
    label_smoothing=0.1,
    data_preprocessor=dict(type='mmseq.ClassificationPreprocessor', mixing=None, erasing=0.0),
)
dataset = dict(type='mmseq.PackedImages', data_root='{{$MMSEQ_DATA:data}}/tiny-imagenet-200_64px', image_size=64)
train_dataloader = dict(
    batch_size=256,
    num_workers=0,
    persistent_workers=False,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(**dataset, part='train', scale=(0.25, 1.0), flip=0.5),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(**dataset, part='val'),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmseq.TopK')
test_evaluator = val_evaluator
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.05),
    # No weight decay on biases, norms and other vectors, nor on position embeddings.
    paramwise_cfg=dict(flat_decay_mult=0.0, custom_keys={'pos_embed': dict(decay_mult=0.0)}),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=1000),
    dict(type='CosineAnnealingLR', eta_min_ratio=0.01, by_epoch=True, begin=0, end=epochs, convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='top1', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
auto_scale_lr = dict(enable=False, base_batch_size=256)
