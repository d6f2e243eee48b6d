"""SegFormer's recipe (mmsegmentation, segformer_mit-b0_8xb2-160k): ADE20K's with ten times the rate for the head."""

_base_ = 'ade20k_160k.py'
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10.0)}))
