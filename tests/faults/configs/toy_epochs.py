"""The toy by epochs of five batches, with checkpoints in the middle of them."""

_base_ = 'toy.py'
train_dataloader = dict(sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True))
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=8, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=3))
log_processor = dict(by_epoch=True)
