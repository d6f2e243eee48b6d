"""What the figures of the benchmarks are made of."""

import os

import pytest
import torch

from mmseq.measure.timing import OwnProcess, alternate, peak_bytes, ratio, slope, spread

CPU = torch.device('cpu')
MEGABYTES = 2**20


def test_calls_take_turns():
    order = []
    times = alternate({'a': lambda: order.append('a'), 'b': lambda: order.append('b')}, CPU, rounds=20, slot=0)
    assert [len(values) for values in times.values()] == [20, 20]
    # The first call of each, the one that is timed for the repeats, then the rounds.
    assert ''.join(order[:4]) == 'aabb'
    rounds = {''.join(order[i : i + 2]) for i in range(4, len(order), 2)}
    assert rounds == {'ab', 'ba'}


def test_no_round_begins_beyond_the_budget_once_there_are_three():
    times = alternate({'a': lambda: None}, CPU, rounds=50, slot=0, budget=0)
    assert len(times['a']) == 3


def test_ratio_is_of_neighbours():
    found = ratio([2.0, 40.0, 6.0], [1.0, 10.0, 2.0])
    assert (found['median'], found['rounds']) == (3.0, 3)
    assert spread([1, 2, 3, 4, 5]) == dict(median=3, quartile_1=2, quartile_3=4, rounds=5)


def test_slope_of_a_power_and_its_interval():
    x = [1, 4, 16, 64]
    exact = slope(x, [3 * value**1.5 for value in x])
    assert exact['slope'] == pytest.approx(1.5)
    assert exact['high'] - exact['low'] < 1e-6
    noisy = slope(x, [3 * value**1.5 * factor for value, factor in zip(x, (1, 1.1, 0.9, 1))])
    assert noisy['low'] < 1.5 < noisy['high']
    assert noisy['high'] - noisy['low'] > 0.05


def fill(megabytes):
    """A call that holds so much memory for a moment."""
    return lambda: torch.ones(megabytes * MEGABYTES // 4).sum()


def test_peak_is_what_the_call_held():
    found = peak_bytes(fill, (200,), CPU)
    assert 200 * MEGABYTES <= found < 240 * MEGABYTES


def count_in(path):
    """A call that adds its process to a file."""

    def call():
        with open(path, 'a') as file:
            file.write(f'{os.getpid()}\n')

    return call


def test_a_call_with_a_process_of_its_own(tmp_path):
    calls = [OwnProcess(count_in, (tmp_path / name,)) for name in 'ab']
    for call in (*calls, calls[0]):
        call()
    for call in calls:
        call.close()
    first, second = ((tmp_path / name).read_text().split() for name in 'ab')
    assert (len(first), len(set(first)), len(second)) == (2, 1, 1)
    assert not {str(os.getpid())} & {*first, *second}
    assert set(first) != set(second)


def fail():
    return lambda: 1 // 0


def test_a_process_that_ended_is_named_not_waited_for():
    call = OwnProcess(fail, ())
    with pytest.raises(ChildProcessError, match='has ended'):
        call()


def ask_for_too_much():
    return lambda: torch.empty(2**50)


def test_too_much_memory_is_none():
    assert peak_bytes(ask_for_too_much, (), CPU) is None
