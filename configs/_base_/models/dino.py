"""DINO with four feature levels, from maps of strides 8, 16, 32: the model of mmdetection's config of that name."""

# Without this line mmengine takes a file that imports for another kind of config.
_base_ = []

from mmengine.hub import get_config  # noqa: E402

model = get_config('mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py').model
# Maps that end where the padded picture ends; upstream pads to 1 because its backbone rounds as it likes.
model.data_preprocessor.pad_size_divisor = 32
model.backbone = dict(out_indices=(1, 2, 3), out_strides=(8, 16, 32))
