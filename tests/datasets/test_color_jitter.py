"""Colour jitter on upstream's images: bytes, blue first."""

import numpy as np
import torch

from mmseq.datasets.color_jitter import ColorJitter
from mmseq.registry import TRANSFORMS


def picture():
    return np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)


def test_nothing_asked_changes_nothing():
    image = picture()
    assert np.array_equal(ColorJitter()(dict(img=image.copy()))['img'], image)


def test_channels_are_blue_green_red():
    """A third of a turn takes blue to red or green; without the channels' exchange red would be taken for blue."""
    jitter = ColorJitter()
    jitter.jitter.hue = [1 / 3, 1 / 3]
    blue = np.zeros((4, 4, 3), np.uint8)
    blue[..., 0] = 255
    got = jitter(dict(img=blue))['img'][0, 0]
    # A third of a turn ahead of blue is red.
    assert got[2] > 240
    assert got[:2].max() < 15


def test_pipeline_builds_it_and_streams_repeat():
    transform = TRANSFORMS.build(dict(type='mmseq.ColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.25))
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(transform(dict(img=picture(), seg_fields=[]))['img'])
    assert np.array_equal(*results)
    assert not np.array_equal(results[0], picture())
    assert (results[0].dtype, results[0].shape) == (np.uint8, (8, 6, 3))
