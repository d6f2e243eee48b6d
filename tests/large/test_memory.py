"""A large image is refused before the machine's memory runs out, with an estimate that holds."""

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from mmseq.compat import allocator
from mmseq.large import memory
from mmseq.large.memory import Room, pixels_of, shrunk
from mmseq.predict.predictor import collate

BYTES, ALWAYS = 40, 30 * 2**20


def sample(height, width, original=None):
    meta = dict(img_shape=(height, width), ori_shape=original or (height, width), scale_factor=(1.0, 1.0))
    inputs = torch.zeros(1, 1, 1, dtype=torch.uint8).expand(3, height, width)
    return dict(inputs=inputs, data_samples=BaseDataElement(metainfo=meta))


def step(data):
    """Takes so many bytes of a pixel, and some in any case."""
    pixels = sum(pixels_of(dict(inputs=one, data_samples=two)) for one, two in zip(*data.values()))
    return np.ones(BYTES * pixels + ALWAYS, np.uint8)


@pytest.fixture(params=['usual', 'kept'])
def heap(request):
    """What is freed goes back to the system, or stays, be it by whose wish it may."""
    allocator._set(allocator.KEPT if request.param == 'kept' else allocator.USUAL)
    # A hole that the smaller one of the sizes tried fits into, and the larger one does not.
    hole, behind = np.ones(60 * 2**20, np.uint8), np.ones(2**20, np.uint8)
    del hole
    yield
    del behind
    allocator._set(allocator.USUAL)
    allocator.give_back()


@pytest.mark.usefixtures('heap')
def test_the_estimate_is_what_an_image_takes(monkeypatch):
    monkeypatch.setattr(memory, 'available', lambda: 0)
    one = sample(3000, 4000)
    with pytest.raises(
        MemoryError, match=r'Unable to allocate (\S+) GiB, .* 1 x 4000 x 3000 px .*--tiles 1024'
    ) as error:
        Room(step).check([one], collate)
    estimate = float(str(error.value).split()[3])
    assert estimate == pytest.approx((BYTES * 12e6 + ALWAYS) / 2**30, rel=0.1)


def test_what_fits_and_what_is_small_goes_through(monkeypatch):
    calls = []
    monkeypatch.setattr(memory, 'available', lambda: 2 * BYTES * 12_000_000)
    room = Room(lambda data: calls.append(1) or step(data))
    room.check([sample(3000, 4000)], collate)
    assert len(calls) == 3
    # Of one size once; two at a time need twice as much.
    room.check([sample(3000, 4000)], collate)
    assert len(calls) == 3
    with pytest.raises(MemoryError):
        room.check([sample(3000, 4000)] * 3, collate)
    room.check([sample(1000, 1000)], collate)
    assert len(calls) == 3


def test_an_image_that_is_made_small_counts_in_its_own_size():
    one = sample(800, 1200, (4000, 6000))
    assert pixels_of(one) == 24_000_000
    small = shrunk(one, 2**20)
    assert 0.5 * 2**20 < pixels_of(small) <= 2**20
    high, wide = small['data_samples'].ori_shape
    height, width = small['data_samples'].img_shape
    assert small['inputs'].shape == (3, height, width)
    assert small['data_samples'].scale_factor == (width / wide, height / high)
