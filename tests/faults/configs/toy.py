"""A toy that imports neither mmdet nor mmseg: everything about processes and files, nothing about pictures."""

_base_ = '../../../configs/_base_/runtime/common.py'
custom_imports = dict(imports=['toys', 'mmseq.registry'], allow_failed_imports=False)
default_scope = 'mmengine'
model = dict(type='Toy')
loader = dict(num_workers=0, dataset=dict(type='Vectors', length=10))
train_dataloader = dict(**loader, batch_size=2, sampler=dict(type='InfiniteSampler', shuffle=True))
val_dataloader = dict(**loader, batch_size=5, sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Score')
train_cfg = dict(by_epoch=False, max_iters=40, val_interval=8)
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=0.01))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=40, by_epoch=False)]
default_hooks = dict(
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=4, max_keep_ckpts=1, save_best='score', rule='greater'
    ),
    logger=dict(type='LoggerHook', interval=1),
)
# A list of its own, without any hook that a resume rests on.
custom_hooks = [
    dict(type='EMAHook', momentum=0.1),
    dict(type='LossRecorder'),
]
log_processor = dict(by_epoch=False)
