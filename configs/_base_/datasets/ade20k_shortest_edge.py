"""ADE20K with the crops of Mask2Former: the shortest edge of the image is 256 to 1024 px before a crop of 512."""

_base_ = 'ade20k.py'

from mmengine.hub import get_config  # noqa: E402

train_pipeline = get_config('mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py').train_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del get_config
