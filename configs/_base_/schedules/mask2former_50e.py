"""Mask2Former, 368750 iterations (50 epochs) of 8 x 2 images: mmdetection's mask2former_r50_8xb2-lsj-50e."""

_base_ = 'mask2former_optim.py'

from mmengine.hub import get_config  # noqa: E402

_upstream = get_config('mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py')
train_cfg, val_cfg, test_cfg = _upstream.train_cfg, _upstream.val_cfg, _upstream.test_cfg
param_scheduler = _upstream.param_scheduler
auto_scale_lr = _upstream.auto_scale_lr
del get_config, _upstream
