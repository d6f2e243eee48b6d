"""UperNet of a real config at its smallest, with everything that a checkpoint has to hold."""

_base_ = '../../../configs/upernet_seq2d_nano_shapes.py'
custom_imports = dict(imports=['toys', 'mmseq.registry'], allow_failed_imports=False)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomCrop', crop_size=(64, 64)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
model = dict(
    backbone=dict(drop_path_rate=0.3),
    decode_head=dict(channels=16, norm_cfg=dict(_delete_=True, type='GN', num_groups=4)),
    auxiliary_head=dict(channels=16, norm_cfg=dict(_delete_=True, type='GN', num_groups=4)),
)
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=pipeline))
train_cfg = dict(max_iters=60, val_interval=20)
default_hooks = dict(checkpoint=dict(interval=3, max_keep_ckpts=1, save_best='mIoU'), logger=dict(interval=1))
# A list of its own, without any hook that a resume rests on.
custom_hooks = [
    dict(type='EMAHook', momentum=0.1),
    dict(type='LossRecorder'),
]
