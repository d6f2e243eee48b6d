"""Semantic FPN, 40k iterations of 8 x 4 images: PoolFormer's recipe (mmsegmentation, fpn_poolformer ... 8xb4-40k)."""

_base_ = 'mmseg::_base_/schedules/schedule_40k.py'
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-4, weight_decay=1e-4))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, by_epoch=False, begin=0, end=40000)]
auto_scale_lr = dict(enable=False, base_batch_size=32)
