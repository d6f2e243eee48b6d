"""Large tensors on the CPU without new pages each time; drop once torch brings an allocator of its own for the CPU.

glibc takes whatever is larger than 32 MB, a bound that cannot be raised, from the system and gives it back at once. The
activations of a map of 128 x 128 cells are that large, and each of their pages is then zeroed anew in every operator.

Kept memory has holes: a training whose images differ in size can come to hold half as much again, or more. So whoever
keeps it calls :func:`release_if_short` from time to time. And what is free is given back before a fork, or the workers
of a loader would hold on to pages that this process goes on to write to.

A heap that grows step by step has pages of 4 kB, and a processor that has to look up where each of them is. Large ones
(admin-guide/mm/transhuge of the Linux kernel) have to be asked for before a page is touched, so the heap is first made
as large as it may ever become: address space, no memory.

What it is worth (`make bench`, docs/benchmarks.md): timm's Sequencer2D-S at 504 px takes 1.16 times as long as ours in
inference with torch's defaults, and 1.07 times with this setting too; in training 1.21 and 1.01 times. The authors'
ShiftViT-T at 512 px takes 1.45 and 1.08, and 1.31 and 1.18. So the setting alone saves 8, 17, 26 and 10 % of the time;
large pages have 0 to 3 % of inference and 3 to 6 % of training in that.
"""

import ctypes
import os
import sys
from mmap import PAGESIZE
from pathlib import Path

# malloc.h of glibc.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -2, -3, -4
# A threshold of -1 is none: nothing is trimmed.
KEPT = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 64 * 2**20))
# What glibc itself comes to in a process with large tensors.
USUAL = ((M_MMAP_MAX, 65536), (M_MMAP_THRESHOLD, 32 * 2**20), (M_TRIM_THRESHOLD, 64 * 2**20), (M_TOP_PAD, 0))
# madvise(2).
MADV_HUGEPAGE = 14
# None before the first time.
_kept: bool | None = None


def keep_memory() -> bool:
    """Let this process's allocator reuse memory for its own tensors, in large pages if :func:`may_reserve` allows them.

    Returns:
        Whether the C library took it; others than glibc have other allocators, which are left as they are.
    """
    global _kept
    if not _set(KEPT):
        return False
    if _kept is None:
        os.register_at_fork(before=_trim_and_reserve)
    if not _kept:
        _reserve()
    _kept = True
    return True


def release_memory() -> bool:
    """Undo :func:`keep_memory`, and give all that is free back to the system; whether there was anything to undo."""
    global _kept
    if not (_kept and _set(USUAL)):
        return False
    _trim()
    _kept = False
    return True


def release_if_short() -> bool:
    """:func:`release_memory` where the machine has little left; whether it was done."""
    if not (_kept and is_short()):
        return False
    release_memory()
    return True


def give_back() -> None:
    """Give what is free back to the system, where the C library is glibc; what is kept for tensors stays reserved."""
    if _kept:
        _trim_and_reserve()
    elif _set(()):
        _trim()


def _trim() -> None:
    ctypes.CDLL(None).malloc_trim(0)


def _trim_and_reserve() -> None:
    if _kept:
        _trim()
        # Trimming has taken the end of the heap away.
        _reserve()


def _reserve() -> None:
    """Grow the heap by what the machine has free, and ask for large pages there."""
    if not may_reserve():
        return
    library = ctypes.CDLL(None)
    library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
    library.malloc.argtypes = library.sbrk.argtypes = [ctypes.c_ssize_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    start = -(-library.sbrk(0) // PAGESIZE) * PAGESIZE
    # What is freed at the end of the heap stays there. If the system refuses, nothing has changed.
    library.free(library.malloc(available()))
    if (length := library.sbrk(0) - start) > 0:
        library.madvise(start, length, MADV_HUGEPAGE)


def may_reserve(system: Path = Path('/')) -> bool:
    """Whether large pages go to those who ask, and address space is free of charge.

    It is not under limits (ulimit -v, -d), where the system keeps what it promises (vm.overcommit_memory=2), and where
    the allocator fills what is freed.

    Args:
        system: root of the file system.
    """
    try:
        pages = (system / 'sys' / 'kernel' / 'mm' / 'transparent_hugepage' / 'enabled').read_text()
        promises = (system / 'proc' / 'sys' / 'vm' / 'overcommit_memory').read_text()
    except OSError:
        return False
    # Where all get large pages, nobody need ask.
    if '[madvise]' not in pages or promises.strip() == '2':
        return False
    if 'MALLOC_PERTURB_' in os.environ or 'glibc.malloc.perturb' in os.environ.get('GLIBC_TUNABLES', ''):
        return False
    # Of Unix alone, as the files above.
    import resource

    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return all(limit == resource.RLIM_INFINITY for limit in limits)


def _set(wishes: tuple[tuple[int, int], ...]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    taken = [mallopt(key, value) for key, value in wishes]
    return all(taken)


def is_short() -> bool:
    """Whether the machine, or the container, has too little memory for this process to grow by half."""
    return sys.platform.startswith('linux') and available() < resident('VmRSS') / 2


def available(system: Path = Path('/')) -> int:
    """Bytes of memory that are free or could be (proc(5), meminfo; memory.max of control groups, version 2).

    Args:
        system: root of the file system.
    """
    found = _line(system / 'proc' / 'meminfo', 'MemAvailable:') * 1024
    group = system / 'sys' / 'fs' / 'cgroup'
    try:
        limit = int((group / 'memory.max').read_text())
        used = int((group / 'memory.current').read_text()) - _line(group / 'memory.stat', 'inactive_file')
    except (OSError, ValueError):
        # No limit, or no such groups.
        return found
    return min(found, limit - used)


def resident(field: str) -> int:
    """Bytes of a line of this process's status (proc(5))."""
    return _line(Path('/proc/self/status'), f'{field}:') * 1024


def _line(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise OSError(f'{path} has no {name}')
