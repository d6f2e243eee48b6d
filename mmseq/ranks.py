"""Which process of a run this is, before torch.distributed knows, and whose child."""

import os
import signal
import threading
import time

# In the environment of a process: the number of the one that started it, with which it is to end.
PARENT = 'MMSEQ_PARENT'


def world_size() -> int:
    """Processes of this run."""
    return int(os.environ.get('WORLD_SIZE', os.environ.get('SLURM_NTASKS', '1')))


def is_first_process() -> bool:
    """Whether this process has rank 0, which prints and writes for all."""
    return os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0')) == '0'


def rank() -> int:
    """The number of this process in its run."""
    return int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0')))


def end_with_parent() -> None:
    """End this process, as SIGTERM does, within a second of the end of the one that started it for its own purpose.

    The parent gives its number in the environment (`PARENT`). A killed process cannot end its children itself, and only
    POSIX systems tell a child that it is an orphan: elsewhere it runs on.
    """
    parent = os.environ.pop(PARENT, '')
    if parent.isdecimal() and os.name == 'posix':
        threading.Thread(target=_watch, args=(int(parent),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
