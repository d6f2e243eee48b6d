"""Processes of one machine hold annotations together, in memory that ends with them."""

import multiprocessing
import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from torch.utils.data import ConcatDataset

from mmseq.datasets.tolerant import TolerantDataset
from mmseq.engine.hooks import shared_annotations
from mmseq.engine.hooks.shared_annotations import SharedAnnotationsHook, let_go, serialized, share, take

needs_linux = pytest.mark.skipif(not hasattr(os, 'memfd_create'), reason='other systems have no files of memory')


class Numbers(BaseDataset):
    """Samples that are numbers."""

    def __init__(self, last: int, **options: Any) -> None:
        self.last = last
        super().__init__(**options)

    def load_data_list(self) -> list[dict[str, int]]:
        return [dict(number=i) for i in (1, 2, self.last)]


def samples(dataset: BaseDataset) -> list[int]:
    return [dataset.get_data_info(i)['number'] for i in range(3)]


def is_mapped(dataset: BaseDataset) -> bool:
    """Whether the annotations lie in a file of memory."""
    address = dataset.data_bytes.__array_interface__['data'][0]
    with open('/proc/self/maps', encoding='utf-8') as maps:
        for line in maps:
            first, last = (int(one, 16) for one in line.split()[0].split('-'))
            if first <= address < last:
                return '/memfd:mmseq-annotations (deleted)' in line
    raise AssertionError('no such address')


def gather_through(connection: Connection, rank: int) -> Any:
    """What mmengine's ``all_gather_object`` does, between two processes."""

    def gather(mine: Any) -> list[Any]:
        connection.send(mine)
        other = connection.recv()
        return [mine, other] if rank == 0 else [other, mine]

    return gather


def behave_as(rank: int, connection: Connection) -> None:
    shared_annotations.all_gather_object = gather_through(connection, rank)
    shared_annotations.get_rank = lambda: rank


def second(connection: Connection, last: int) -> None:
    """The process of rank 1: it says what it has, and again when it is asked."""
    behave_as(1, connection)
    dataset = Numbers(last)
    share([dataset])
    while True:
        connection.send((samples(dataset), is_mapped(dataset)))
        connection.recv()


@pytest.fixture
def other(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The second process, and the way to it."""
    for name in ('all_gather_object', 'get_rank'):
        monkeypatch.setattr(shared_annotations, name, None)
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context('fork').Process(target=second, args=(theirs, request.param))
    process.start()
    behave_as(0, mine)
    yield process, mine
    process.kill()
    process.join()


@needs_linux
@pytest.mark.parametrize('other', [7], indirect=True)
def test_both_read_the_same_memory_until_the_last_one_ends(other: tuple[Any, Connection]) -> None:
    process, connection = other
    dataset = Numbers(7)
    own = dataset.data_bytes
    share([dataset])
    assert connection.recv() == ([1, 2, 7], True)
    assert is_mapped(dataset)
    assert not np.shares_memory(dataset.data_bytes, own)
    # It neither needs the process that lends, nor leaves anything where there is a name.
    with open(f'/proc/{process.pid}/maps', encoding='utf-8') as maps:
        assert sum('memfd:mmseq-annotations' in line for line in maps) == 1
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert samples(dataset) == [1, 2, 7]
    with pytest.raises(ValueError, match='read-only'):
        dataset.data_bytes[0] = 1


@needs_linux
@pytest.mark.parametrize('other', [8, 1000], indirect=True)
def test_other_annotations_stay_what_they_are(other: tuple[Any, Connection], request: pytest.FixtureRequest) -> None:
    dataset = Numbers(7)
    share([dataset])
    last = request.node.callspec.params['other']
    assert other[1].recv() == ([1, 2, last], False)
    assert samples(dataset) == [1, 2, 7]


def test_other_machines_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_annotations, 'all_gather_object', lambda mine: [mine, 'elsewhere' if mine else mine])
    monkeypatch.setattr(shared_annotations, 'get_rank', lambda: 0)
    monkeypatch.setattr(os, 'memfd_create', None, raising=False)
    own = (dataset := Numbers(7)).data_bytes
    share([dataset])
    assert dataset.data_bytes is own


def test_a_process_that_may_not_look_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(shared_annotations, 'print_log', lambda text, *_: said.append(text))
    own = (dataset := Numbers(7)).data_bytes
    take(dataset, '/proc/1/fd/99999')
    assert dataset.data_bytes is own
    assert said == ['annotations are not shared with process 1 of this machine: No such file or directory']


def test_data_sets_within_others_and_each_once() -> None:
    one, listed = Numbers(7), Numbers(7, serialize_data=False)
    tolerant = TolerantDataset(one, 'x')
    assert serialized([ConcatDataset([tolerant, listed]), one]) == [one]


def test_numbers_that_hold_on_to_memory_are_made_anew() -> None:
    dataset = Numbers(7)
    dataset.cat_img_map = defaultdict(list, {1: [10**9, 10**9 + 1], 2: ['a']})
    before = dataset.cat_img_map
    let_go([dataset, Numbers(8)])
    assert dataset.cat_img_map == before
    assert dataset.cat_img_map[3] == []
    assert all(one is not other for one, other in zip(dataset.cat_img_map[1], before[1]))


def test_nothing_happens_alone() -> None:
    SharedAnnotationsHook().before_run(Alone())


class Alone:
    """A runner that builds no loop by itself."""

    _train_loop = _val_loop = _test_loop = dict(type='x')
