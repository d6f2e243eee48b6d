"""DINO, 12 epochs of 8 x 2 images: mmdetection's dino-4scale_r50_8xb2-12e (AdamW 1e-4, a tenth for the backbone)."""

_base_ = 'mmdet::_base_/schedules/schedule_1x.py'

from mmengine.hub import get_config  # noqa: E402

_dino = get_config('mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py')
optim_wrapper = dict(_delete_=True, **_dino.optim_wrapper)
param_scheduler = _dino.param_scheduler
train_cfg = dict(max_epochs=_dino.max_epochs)
del get_config, _dino
