"""Mask2Former, 160k iterations of 8 x 2 images: mmsegmentation's mask2former_r50_8xb2-160k."""

_base_ = 'mask2former_optim.py'

from mmengine.hub import get_config  # noqa: E402

_upstream = get_config('mmseg::_base_/schedules/schedule_160k.py')
train_cfg, val_cfg, test_cfg = _upstream.train_cfg, _upstream.val_cfg, _upstream.test_cfg
default_hooks = _upstream.default_hooks
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=160000, by_epoch=False)]
auto_scale_lr = dict(enable=False, base_batch_size=16)
del get_config, _upstream
