"""A large image is refused before the machine's memory runs out, with an estimate that holds."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

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


@pytest.fixture
def counted(monkeypatch):
    """The process's memory as it would be if nothing else took any."""
    values = dict(VmRSS=2**30, VmHWM=2**30)

    def take(data):
        values['VmHWM'] = values['VmRSS'] + values.get('seen', len(step(data)))

    monkeypatch.setattr(memory, 'resident', values.__getitem__)
    return SimpleNamespace(step=take, values=values)


@pytest.mark.parametrize('heap', ['usual', 'kept'])
def test_the_estimate_is_what_an_image_takes(heap, nursery, tmp_path):
    """In a process of its own: what a heap gives back depends on all that was in it."""
    printed = nursery.run(heap, script='tests/large/estimate.py', log=tmp_path / 'log')
    # 0.48 GiB, printed in tenths: 12 million pixels of 40 bytes, and 30 MB.
    assert float(printed) in (0.4, 0.5)


def test_nothing_is_refused_where_the_heap_hides_what_a_pass_takes(counted, monkeypatch):
    monkeypatch.setattr(memory, 'available', lambda: 0)
    seen = iter((0, 0, 70 * 2**20))

    def hidden(data):
        counted.values['seen'] = next(seen)
        counted.step(data)

    Room(hidden).check([sample(3000, 4000)], collate)
    with pytest.raises(MemoryError):
        Room(counted.step).check([sample(3000, 4000)], collate)


def test_what_fits_and_what_is_small_goes_through(counted, monkeypatch):
    calls = []
    monkeypatch.setattr(memory, 'available', lambda: 2 * BYTES * 12_000_000)
    room = Room(lambda data: calls.append(1) or counted.step(data))
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
