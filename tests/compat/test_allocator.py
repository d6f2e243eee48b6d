"""Large tensors stay with the process: counted in page faults, in a process of its own."""

import platform
import subprocess
import sys

import pytest

from mmseq.compat import allocator
from mmseq.compat.allocator import available, is_short

# 64 MB, twice what glibc would keep by itself, where more has been given back before.
CODE = """
import os, resource, sys, torch
from mmseq.compat.allocator import keep_memory, release_memory, resident
if sys.argv[1] != 'leave':
    assert keep_memory()
def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(2**25)
held = resident('VmRSS')
if sys.argv[1] == 'release':
    release_memory()
    assert resident('VmRSS') < held - 100 * 2**20
if sys.argv[1] == 'fork':
    child = os.fork()
    if not child:
        assert resident('VmRSS') < held - 100 * 2**20
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print(faults(2**24))
"""


def faults(how):
    done = subprocess.run([sys.executable, '-c', CODE, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library than glibc has another allocator')
def test_pages_are_used_again():
    assert faults('leave') > 10000
    assert faults('keep') < 1000
    assert faults('release') > 10000


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library than glibc has another allocator')
def test_a_forked_process_holds_no_pages_that_were_free():
    assert faults('fork') > 10000


def test_room_is_that_of_the_machine_or_of_its_container(tmp_path, monkeypatch):
    (tmp_path / 'proc').mkdir()
    (tmp_path / 'proc' / 'meminfo').write_text('MemTotal: 90 kB\nMemAvailable:       80 kB\n')
    assert available(tmp_path) == 80 * 1024
    group = tmp_path / 'sys' / 'fs' / 'cgroup'
    group.mkdir(parents=True)
    for name, text in (('memory.max', 'max\n'), ('memory.current', '5000\n'), ('memory.stat', 'inactive_file 1000\n')):
        (group / name).write_text(text)
    assert available(tmp_path) == 80 * 1024
    (group / 'memory.max').write_text('9000\n')
    assert available(tmp_path) == 5000
    for held, short in ((10001, True), (9999, False)):
        monkeypatch.setattr(allocator, 'available', lambda: 5000)
        monkeypatch.setattr(allocator, 'resident', lambda field, held=held: held)
        assert is_short() is short
