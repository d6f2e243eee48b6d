"""Work in threads: in order, ahead by so many, with its errors in their place."""

import threading
import time

import pytest

from mmseq.predict.workers import Workers


def test_results_come_in_order():
    with Workers(4) as workers:
        found = list(workers.ahead(lambda number: time.sleep(0.002 * (number % 3)) or number, range(30), 5))
    assert found == list(range(30))


def test_no_more_is_begun_than_asked_for():
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    with Workers(2) as workers:
        results = workers.ahead(str, items(), 3)
        assert next(results) == '0'
        assert taken == [0, 1, 2, 3]
        assert next(results) == '1'
        assert taken == [0, 1, 2, 3, 4]


def test_work_is_done_beside_the_caller():
    with Workers(1) as workers:
        names = set(workers.ahead(lambda _: threading.current_thread().name, range(5), 2))
    assert threading.current_thread().name not in names


def test_an_error_comes_in_its_place():
    def work(number):
        if number == 2:
            raise ValueError('two')
        return number

    with Workers(2) as workers:
        results = workers.ahead(work, range(5), 4)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ValueError, match='two'):
            next(results)
