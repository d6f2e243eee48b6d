"""Large tensors stay with the process: counted in page faults, in a process of its own."""

import platform
import subprocess
import sys

import pytest

from mmseq.compat import allocator
from mmseq.compat.allocator import available, is_short, may_reserve

# 64 MB, twice what glibc would keep by itself, where more has been given back before.
CODE = """
import os, resource, sys, torch
from mmseq.compat.allocator import keep_memory, release_memory, resident
def large():
    return sum(int(line.split()[1]) for line in open('/proc/self/smaps') if line.startswith('AnonHugePages')) * 1024
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
    assert resident('VmRSS') < held - 100 * 2**20
if sys.argv[1] == 'limit':
    assert resident('VmSize') < held + 8 * 2**30, 'address space that has a limit'
print(faults(2**24), large() // 2**20)
"""


def faults(how, limit=''):
    """Page faults of a second tensor, and the MB that the process then has in large pages."""
    command = [sys.executable, '-c', CODE, how]
    done = subprocess.run(
        ['sh', '-c', f'{limit} exec "$@"', 'sh', *command], capture_output=True, text=True, check=True
    )
    return [int(number) for number in done.stdout.split()]


# Under a limit the heap has small pages, so that every one of them counts.
LIMIT = 'ulimit -v 60000000;'
glibc = pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library has another allocator')
large_pages = pytest.mark.skipif(not may_reserve(), reason='the system has no large pages for those who ask')


@glibc
def test_pages_are_used_again():
    assert faults('leave')[0] > 10000
    assert faults('keep')[0] < 1000


@glibc
@pytest.mark.parametrize('how', ['release', 'fork'])
@pytest.mark.parametrize('limit', [LIMIT, ''])
def test_what_is_free_is_given_back(how, limit):
    # The other assertions are in that process, and in the one it forks; large pages are few.
    assert faults(how, limit)[0] > (10000 if limit else 0)


@glibc
@large_pages
@pytest.mark.parametrize('how', ['keep', 'fork'])
def test_kept_memory_has_large_pages(how):
    assert faults('leave')[1] < 20
    # Of 64 MB at least; where memory is in pieces, the system has not enough of them.
    assert faults(how)[1] >= 32


@glibc
@large_pages
def test_address_space_with_a_limit_is_left_alone():
    few, large = faults('limit', LIMIT)
    assert few < 1000
    assert large < 20


@pytest.mark.parametrize(
    'pages, promises, environment, free',
    [
        ('always [madvise] never', '0', {}, True),
        ('[always] madvise never', '0', {}, False),
        ('always madvise [never]', '0', {}, False),
        ('always [madvise] never', '2', {}, False),
        ('always [madvise] never', '1', {'MALLOC_PERTURB_': '7'}, False),
        ('always [madvise] never', '1', {'GLIBC_TUNABLES': 'glibc.malloc.perturb=7'}, False),
    ],
)
def test_address_space_is_taken_only_where_it_is_free(tmp_path, monkeypatch, pages, promises, environment, free):
    import resource

    monkeypatch.setattr(resource, 'getrlimit', lambda kind: (resource.RLIM_INFINITY,) * 2)
    for name in ('MALLOC_PERTURB_', 'GLIBC_TUNABLES'):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert not may_reserve(tmp_path)
    for place, text in (
        ('sys/kernel/mm/transparent_hugepage/enabled', pages),
        ('proc/sys/vm/overcommit_memory', promises),
    ):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text(f'{text}\n')
    assert may_reserve(tmp_path) is free


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
