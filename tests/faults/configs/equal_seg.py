"""UperNet without batch statistics, dropout and drop path; random augmentation stays."""

_base_ = 'seg.py'
model = dict(
    backbone=dict(drop_path_rate=0.0),
    decode_head=dict(dropout_ratio=0.0),
    auxiliary_head=dict(dropout_ratio=0.0),
)
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
train_cfg = dict(max_iters=4)
default_hooks = dict(checkpoint=dict(interval=99))
# Training alone.
val_cfg = None
val_dataloader = None
val_evaluator = None
