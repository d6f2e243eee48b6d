"""The image size that a config is made for, and what its model pads images to."""

from mmengine.config import Config

from mmseq.errors import InputError
from mmseq.nested import walk


def usual_shape(cfg: Config) -> tuple[int, int]:
    """A segmentor's training crop, a classifier's image, or 16 : 10 at a detector's test scale: 800 x 1280 on COCO.

    Raises:
        InputError: the config's pipelines name neither.
    """
    if cfg.get('default_scope') == 'mmseg':
        crops = [step['crop_size'] for step in walk(cfg.get('train_dataloader')) if step.get('type') == 'RandomCrop']
        if crops:
            return tuple(crops[-1])
    if sides := [step['image_size'] for step in walk(cfg.get('test_dataloader')) if step.get('image_size')]:
        return sides[-1], sides[-1]
    scales = [step['scale'] for step in walk(cfg.get('test_dataloader')) if step.get('type') == 'Resize']
    if not scales:
        raise InputError('the config has neither a RandomCrop to train with nor a Resize to test with; give --shape')
    short, long = sorted(scales[-1])
    return short, min(long, short * 16 // 10)


def size_divisor(cfg: Config) -> int:
    """What the data preprocessor pads test images to a multiple of; 1 if it leaves them."""
    options = cfg.model.get('data_preprocessor') or {}
    return (options.get('test_cfg') or {}).get('size_divisor') or options.get('pad_size_divisor') or 1
