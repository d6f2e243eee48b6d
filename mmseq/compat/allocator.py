"""Large tensors on the CPU without new pages each time; drop once torch brings an allocator of its own for the CPU.

glibc takes whatever is larger than 32 MB, a bound that cannot be raised, from the system and gives it back at once. The
activations of a map of 128 x 128 cells are that large, and each of their pages is then zeroed anew in every operator.
"""

import ctypes

# malloc.h of glibc.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD = 64 * 2**20


def keep_memory() -> bool:
    """Let this process's allocator reuse what it has been given, for its own tensors alone.

    Returns:
        Whether the C library took it; others than glibc have other allocators, which are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # No trimming: the largest number that the C interface takes.
    wishes = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, TOP_PAD))
    taken = [mallopt(key, value) for key, value in wishes]
    return all(taken)
