"""Mask R-CNN without drop path, whose losses are means over as many boxes in every image.

Upstream's samplers choose at random, and its mask loss is a mean over the positive boxes of a process: where their
number differs, the mean over processes is another one than the mean over all. Here every image has one.
"""

_base_ = 'det.py'
custom_imports = dict(imports=['first_sampler', 'toys', 'mmseq.registry'], allow_failed_imports=False)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(64, 64), keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
model = dict(
    backbone=dict(drop_path_rate=0.0),
    train_cfg=dict(
        rpn=dict(sampler=dict(type='FirstSampler', num=16)),
        rcnn=dict(sampler=dict(type='FirstSampler', num=8, pos_fraction=0.125)),
    ),
)
train_dataloader = dict(batch_sampler=None, dataset=dict(pipeline=pipeline))
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
train_cfg = dict(max_epochs=2)
default_hooks = dict(checkpoint=dict(interval=99))
# Training alone.
val_cfg = None
val_dataloader = None
val_evaluator = None
