"""Mask R-CNN of a real config at its smallest, with checkpoints in the middle of epochs."""

_base_ = '../../../configs/mask_rcnn_seq2d_nano_shapes.py'
custom_imports = dict(imports=['toys', 'mmseq.registry'], allow_failed_imports=False)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
model = dict(backbone=dict(drop_path_rate=0.3), roi_head=dict(bbox_head=dict(fc_out_channels=32)))
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=pipeline))
train_cfg = dict(max_epochs=15, val_interval=5)
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=3, max_keep_ckpts=1, save_best='coco/bbox_mAP'), logger=dict(interval=1)
)
# A list of its own, without any hook that a resume rests on.
custom_hooks = [
    dict(type='EMAHook', momentum=0.1),
    dict(type='LossRecorder'),
]
