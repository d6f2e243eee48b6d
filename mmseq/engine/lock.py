"""One training at a time in a work dir: a lock that names its process, and is taken over once that has ended."""

import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmseq.errors import InputError
from mmseq.files import is_alive, jsonable, machine

NAME = 'run.lock'
# Seconds between two signs of life of a holder, and without one after which a holder elsewhere is taken for dead.
BEAT = 5.0
SILENCE = 30.0
# What torchrun and Slurm set in a process that they start again.
RESTART_COUNTS = ('TORCHELASTIC_RESTART_COUNT', 'SLURM_RESTART_COUNT')


def is_restarted() -> bool:
    """Whether torchrun or Slurm has started this run before."""
    return any(int(os.environ.get(name) or 0) > 0 for name in RESTART_COUNTS)


def launch_name() -> str:
    """The job of Slurm or the launch of torchrun that this process belongs to, restarts included; else empty."""
    return os.environ.get('SLURM_JOB_ID') or os.environ.get('TORCHELASTIC_RUN_ID') or ''


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if need be, for the length of the block.

    A holder on this machine is looked for by process id and start of that process. One elsewhere, on another host or in
    another container, gives a sign of life every `BEAT` seconds; without one for `SILENCE` seconds it is dead. Clocks
    of different hosts are never compared. What torchrun or Slurm starts again takes over from its predecessor at once.

    Raises:
        InputError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, mine = folder / NAME, _identity()
    while not _create(path, mine):
        _remove_stale(path)
    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, done), daemon=True)
    beating.start()
    try:
        yield
    finally:
        done.set()
        beating.join()
        if _read(path) == mine:
            path.unlink()


def _identity() -> dict[str, Any]:
    return {
        'pid': os.getpid(),
        'host': platform.node(),
        'since': datetime.now().astimezone().isoformat(timespec='seconds'),
        'machine': machine(),
        'process_start': _process_start(os.getpid()),
        'launch': launch_name(),
    }


def _process_start(pid: int) -> str:
    """When a process began, in the kernel's own count, which tells it from a later one of its number; '' elsewhere."""
    try:
        # The name of the program in brackets may hold anything, blanks too.
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]
    except OSError:
        return ''


def _create(path: Path, content: dict[str, Any]) -> bool:
    try:
        with path.open('x') as file:
            file.write(json.dumps(jsonable(content)) + '\n')
    except FileExistsError:
        return False
    return True


def _read(path: Path) -> dict[str, Any] | None:
    """The process in a lock; empty if it is not legible, None if there is no lock."""
    try:
        content = json.loads(path.read_text(errors='replace'))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _remove_stale(path: Path) -> None:
    """Remove the lock of a holder that is gone.

    Raises:
        InputError: the holder is there.
    """
    holder = _read(path)
    if holder is None:
        return
    who = f'process {holder.get("pid", "?")} on {holder.get("host", "?")} since {holder.get("since", "?")}'
    if _is_held(path, holder):
        raise InputError(
            f'{path.parent}: {who} is training there, and two would overwrite each other: give another --work-dir, '
            f'or end that process ({path.name} names it)'
        )
    # Of two that find the same holder gone, one moves its lock; the other may have moved what that one made since.
    moved = path.with_name(f'{path.name}.{os.getpid()}')
    try:
        path.rename(moved)
    except FileNotFoundError:
        return
    if _read(moved) != holder:
        moved.rename(path)
        return
    moved.unlink()
    print_log(f'{path.parent}: {who} is gone and left its lock; taken over', logger='current')


def _is_held(path: Path, holder: dict[str, Any]) -> bool:
    if holder.get('machine') == machine():
        if not is_alive(int(holder['pid'])):
            return False
        if start := holder['process_start']:
            return start == _process_start(int(holder['pid']))
    if is_restarted() and launch_name() and holder.get('launch') == launch_name():
        return False
    return _gives_a_sign(path)


def _gives_a_sign(path: Path) -> bool:
    """Wait for a sign of life of a holder elsewhere, `SILENCE` seconds at most."""
    end, first = time.monotonic() + SILENCE, _last_sign(path)
    while time.monotonic() < end:
        time.sleep(min(1.0, SILENCE / 10))
        if _last_sign(path) != first:
            return True
    return False


def _last_sign(path: Path) -> int:
    try:
        # Opening a file is what lets network file systems look anew.
        with path.open('rb') as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return 0


def _beat(path: Path, done: threading.Event) -> None:
    while not done.wait(BEAT):
        try:
            os.utime(path)
        except FileNotFoundError:
            # The folder was moved or removed by hand; the training itself will say what it misses.
            return
