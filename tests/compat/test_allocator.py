"""Large tensors stay with the process: counted in page faults, in a process of its own."""

import platform
import subprocess
import sys

import pytest

# 64 MB, twice what glibc would keep by itself, where more has been given back before.
CODE = """
import resource, sys, torch
from mmseq.compat.allocator import keep_memory
if sys.argv[1] == 'keep':
    assert keep_memory()
def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(2**25)
print(faults(2**24))
"""


def faults(how):
    done = subprocess.run([sys.executable, '-c', CODE, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library than glibc has another allocator')
def test_pages_are_used_again():
    assert faults('leave') > 10000
    assert faults('keep') < 1000
