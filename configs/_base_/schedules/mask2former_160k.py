"""Mask2Former, 160k iterations of 8 x 2 images: mmsegmentation's mask2former_r50_8xb2-160k."""

_base_ = 'mask2former_optim.py'

from mmengine.hub import get_config  # noqa: E402

_upstream = get_config('mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py')
train_cfg, val_cfg, test_cfg = _upstream.train_cfg, _upstream.val_cfg, _upstream.test_cfg
default_hooks = _upstream.default_hooks
param_scheduler = _upstream.param_scheduler
auto_scale_lr = _upstream.auto_scale_lr
del get_config, _upstream
