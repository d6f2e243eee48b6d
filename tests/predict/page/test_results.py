"""What the page keeps of its visitors is bounded, in number and in bytes."""

import pytest

from mmseq.errors import InputError
from mmseq.predict.page.results import Results


class Result:
    def __init__(self, size):
        self.held = size


def test_the_oldest_go_by_number():
    results = Results(2, 10**9)
    first, second = results.keep(Result(1)), results.keep(Result(1))
    # Asking makes it the latest.
    results.find(first)
    third = results.keep(Result(1))
    assert len(results) == 2
    assert results.find(first).held == results.find(third).held == 1
    with pytest.raises(InputError, match='The latest 2 are kept, .* drop the picture again'):
        results.find(second)


def test_the_oldest_go_by_bytes():
    results = Results(16, 100)
    keys = [results.keep(Result(40)) for _ in range(5)]
    assert results.held == 80
    assert [key for key in keys if key in results._kept] == keys[3:]
    # One that grows displaces others, and never itself.
    results.find(keys[4]).held = 500
    results.fit()
    assert list(results._kept) == [keys[4]]


def test_what_is_dropped_or_was_never_there():
    results = Results(2, 100)
    key = results.keep(Result(1))
    results.drop(key)
    results.drop(None)
    assert results.held == len(results) == 0
    for absent in (key, None, 'guessed'):
        with pytest.raises(InputError, match='no result to show'):
            results.find(absent)


def test_keys_cannot_be_guessed():
    results = Results(64, 10**9)
    keys = {results.keep(Result(1)) for _ in range(50)}
    assert len(keys) == 50
    assert min(map(len, keys)) >= 32
