"""Threads sleep while they wait where cores are taken, and only there."""

import os
import subprocess
import sys

import pytest

from mmseq.compat import waiting_threads
from mmseq.compat.waiting_threads import free_cores, wait_as_the_machine_allows

LINES = 'cpu  9 9 9 {0}0 9\ncpu0 5 0 5 {0} 20 0\ncpu1 5 0 5 {0} 40 0\ncpu12 5 0 5 9999 9999 0\nintr 5\n'


@pytest.fixture
def machine(monkeypatch):
    """Two cores of which so many are free."""

    def make(free, load=2.0):
        monkeypatch.setattr(os, 'getloadavg', lambda: (load, load, load))
        monkeypatch.setattr(os, 'sched_getaffinity', lambda process: {0, 1})
        monkeypatch.setattr(waiting_threads, 'SIBLINGS', 'cpu{}')
        monkeypatch.setattr(waiting_threads, 'free_cores', lambda allowed: free)

    return make


@pytest.mark.parametrize('free, waits', [(2.0, False), (1.6, False), (1.0, True), (0.0, True)])
def test_waiting_depends_on_the_cores_that_are_free(free, waits, machine):
    machine(free)
    environment = {}
    wait_as_the_machine_allows(environment)
    assert environment == (dict(OMP_WAIT_POLICY='passive') if waits else {})


@pytest.mark.parametrize(
    'own', [{'OMP_WAIT_POLICY': 'active'}, {'GOMP_SPINCOUNT': '5'}, {'KMP_BLOCKTIME': '0'}, {'OMP_NUM_THREADS': '1'}]
)
def test_what_the_user_says_stays(own, machine):
    machine(0.0)
    environment = dict(own)
    wait_as_the_machine_allows(environment)
    assert environment == own


def test_fewer_threads_need_fewer_cores(machine, monkeypatch):
    machine(2.0)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda process: set(range(4)))
    for threads, waits in (('2', False), ('3', True)):
        environment = dict(OMP_NUM_THREADS=threads)
        wait_as_the_machine_allows(environment)
        assert ('OMP_WAIT_POLICY' in environment) is waits


def test_nobody_looks_where_the_load_is_low(machine, monkeypatch):
    machine(0.0, load=0.1)
    environment = {}
    wait_as_the_machine_allows(environment)
    assert environment == {}


def test_processors_of_others_do_not_count(tmp_path, monkeypatch):
    ticks, stat = os.sysconf('SC_CLK_TCK'), tmp_path / 'stat'
    stat.write_text(LINES.format(1000))
    monkeypatch.setattr(waiting_threads, 'STAT', stat)
    clock = iter([0.0, 1.0])
    monkeypatch.setattr(waiting_threads.time, 'monotonic', lambda: next(clock))
    monkeypatch.setattr(waiting_threads.time, 'sleep', lambda seconds: stat.write_text(LINES.format(1000 + ticks // 2)))
    assert free_cores({0, 1}) == pytest.approx(1.0)


def test_commands_decide_before_torch_is_loaded():
    code = """
import os, sys
from mmseq.compat import waiting_threads
import mmseq.cli
mmseq.cli.wait_as_the_machine_allows = lambda environment: print('torch' in sys.modules)
mmseq.cli.run(lambda: print('command'))
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.split() == ['False', 'command'], done.stderr
