"""mmdetection's runtime with ours, counting iterations instead of epochs."""

_base_ = 'mmdet.py'
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=5000, save_last=True))
log_processor = dict(by_epoch=False)
