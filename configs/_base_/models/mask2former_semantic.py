"""Mask2Former for label maps over maps of strides 4, 8, 16, 32: the model of mmsegmentation's config of that name."""

# Without this line mmengine takes a file that imports for another kind of config.
_base_ = []

from mmengine.hub import get_config  # noqa: E402

model = get_config('mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py').model
model.backbone = dict(out_strides=(4, 8, 16, 32))
