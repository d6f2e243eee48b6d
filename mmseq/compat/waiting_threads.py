"""Threads that wait for each other sleep where other programs take cores, instead of spinning on a core that is needed.

The OpenMP of torch's Linux wheels (libgomp) spins at every step of an LSTM until the last thread arrives. On a quiet
machine that is fastest; where one of two cores is taken, a forward pass takes twice as long as with one thread, and
asleep 1.1 times as long (benchmarks/results/busy.json). The number of threads stays, since sums depend on it. libgomp
reads its environment once, when torch loads it. Drop once torch's LSTM kernels meet less often.
"""

import os
import time
from collections.abc import Iterable, MutableMapping
from pathlib import Path

STAT = Path('/proc/stat')
SIBLINGS = '/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list'
# By which a user says how threads wait.
VARIABLES = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'KMP_BLOCKTIME')
# Seconds of looking at what others take, and the load below which nobody has to look.
SAMPLE = 0.1
QUIET = 0.5


def wait_as_the_machine_allows(environment: MutableMapping[str, str]) -> None:
    """Let threads sleep while they wait if fewer cores are free than there will be threads; before torch is loaded."""
    if any(name in environment for name in VARIABLES) or environment.get('OMP_NUM_THREADS') == '1':
        return
    if not STAT.is_file() or os.getloadavg()[0] < QUIET:
        return
    allowed = os.sched_getaffinity(0)
    # Half a core is lost to what every machine does.
    if free_cores(allowed) < threads(environment, allowed) - 0.5:
        environment['OMP_WAIT_POLICY'] = 'passive'


def threads(environment: MutableMapping[str, str], allowed: Iterable[int]) -> int:
    """How many torch will use: as it is told, or one for each core."""
    told = environment.get('OMP_NUM_THREADS', '')
    return int(told) if told.isdecimal() else len({siblings(number) for number in allowed})


def siblings(number: int) -> str:
    """The processors that share a core with this one."""
    path = Path(SIBLINGS.format(number))
    return path.read_text() if path.is_file() else str(number)


def free_cores(allowed: Iterable[int], sample: float = SAMPLE) -> float:
    """Processors of these that nobody uses while this process sleeps."""
    before, begin = idle(allowed), time.monotonic()
    time.sleep(sample)
    return (idle(allowed) - before) / (time.monotonic() - begin)


def idle(allowed: Iterable[int]) -> float:
    """Seconds that these processors have been idle or waiting for a disk (proc(5), stat)."""
    names = {f'cpu{number}' for number in allowed}
    lines = (line.split() for line in STAT.read_text().splitlines())
    ticks = sum(int(values[4]) + int(values[5]) for values in lines if values[0] in names)
    return ticks / os.sysconf('SC_CLK_TCK')
