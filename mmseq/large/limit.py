"""The most instances that a model gives of an image, and whether it would have given more."""

from typing import Any

from mmengine.config import Config

# Where upstream's detectors keep it, the one that counts last first.
KEYS = ('rcnn.max_per_img', 'max_per_img', 'max_per_image')


def max_per_img(cfg: Config) -> tuple[str, int] | None:
    """The key in the config and the number; None where there is no limit."""
    limits: Any = cfg.model.get('test_cfg') or {}
    for key in KEYS:
        head, _, name = key.rpartition('.')
        node = limits.get(head) if head else limits
        if node and (most := node.get(name)):
            return f'model.test_cfg.{key}', int(most)
    return None


def cut_off_of(scores: Any, cfg: Config) -> float | None:
    """The lowest of a model's scores, N, where it gave as many instances as it may; None where it gave fewer."""
    limit = max_per_img(cfg)
    if limit is None or len(scores) < limit[1] or not len(scores):
        return None
    return float(scores.min())
