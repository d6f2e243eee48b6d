"""The processes of a run: started on machines without GPUs, and which of them no longer answer."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import torch
import torch.distributed

# Documented there, and not among what it exports.
from torch.distributed import TCPStore  # type: ignore[attr-defined]

# Long enough for every process to notice the failure that one of them noticed first.
ROLL_CALL_SECONDS = 15
# As torch names the threads that do the work of a group.
GLOO_THREAD = 'pt_gloo_runloop'


def start_without_gpu(launcher: str, timeout: float | None) -> None:
    """Join the processes of a run over gloo; mmengine asks for a CUDA device with every backend.

    Args:
        launcher: ``pytorch``, or ``slurm`` with MASTER_ADDR and MASTER_PORT set as tools/slurm_train.sh sets them.
        timeout: seconds that a process waits for another; None is torch's default.
    """
    if launcher == 'slurm':
        names = {'RANK': 'SLURM_PROCID', 'LOCAL_RANK': 'SLURM_LOCALID', 'WORLD_SIZE': 'SLURM_NTASKS'}
        for name, source in names.items():
            os.environ.setdefault(name, os.environ[source])
        os.environ.setdefault('MASTER_PORT', '29500')
    options: dict[str, Any] = {} if timeout is None else {'timeout': timedelta(seconds=timeout)}
    torch.distributed.init_process_group('gloo', **options)


def leave_group() -> None:
    """Leave the process group of a run that has succeeded in all of its processes; without a group, do nothing.

    A thread of gloo that still releases a tensor when its interpreter ends aborts the process ("terminate called
    without an active exception", and a complete run ends with an error; https://github.com/pytorch/pytorch/pull/179291).
    Destroying the group waits for such threads only where no model holds on to it. The barrier waits until all work is
    done in all processes, the first of which often has more to write than the others; but a thread reports its work
    done before it releases the tensors.
    """
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        _wait_for_gloo()


def _wait_for_gloo(seconds: float = 10) -> None:
    """Return once gloo's threads in this process sleep and stay asleep; on Linux, elsewhere at once.

    A thread that waits for the interpreter looks asleep too, but in the pauses here nobody else holds that.

    torch has no call that waits for them (https://github.com/pytorch/pytorch/issues/190489). A thread that takes long
    to release its tensor aborted the run in 6 of 6 without this wait and in 0 of 6 with it: `pytest
    tests/engine/test_processes.py -k slow`.
    """
    end = time.monotonic() + seconds
    before, now = None, _gloo_threads()
    while now and time.monotonic() < end and (now != before or any(state != 'S' for state, *_ in now.values())):
        time.sleep(0.02)
        before, now = now, _gloo_threads()


def _gloo_threads() -> dict[str, tuple[str, ...]]:
    """State and counts of context switches (proc(5), status) of gloo's threads by their number."""
    threads = {}
    for path in Path('/proc/self/task').glob('*/status'):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            # It has ended since.
            continue
        status = dict(line.split(':', 1) for line in lines)
        if status['Name'].strip() == GLOO_THREAD:
            switches = (status[key] for key in status if key.endswith('ctxt_switches'))
            threads[path.parent.name] = (status['State'].split()[0], *switches)
    return threads


@contextmanager
def naming_missing_processes() -> Iterator[None]:
    """Turn the failure to reach another process into an error that says which one, and on which node.

    Covers what reaches Python as an exception: gloo, and NCCL's errors; after a time-out of NCCL torch's own watchdog
    ends the process first, with a message that names the operation.

    Raises:
        ConnectionError: some processes no longer answer.
    """
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        yield
        return
    store = _store()
    store.set(_key('node', torch.distributed.get_rank()), _this_node())
    try:
        yield
    except RuntimeError as error:
        if not is_communication_failure(error):
            raise
        raise ConnectionError(describe_missing(*roll_call())) from error


def is_communication_failure(error: BaseException) -> bool:
    """Whether torch or gloo could not reach another process."""
    return isinstance(error, torch.distributed.DistError) or 'gloo' in str(error)


def roll_call(seconds: float = ROLL_CALL_SECONDS) -> tuple[dict[int, str], str | None]:
    """Every process that noticed a failure answers; those that do not within some seconds are missing.

    Returns:
        The nodes of the missing processes by rank, and the address of the store if that itself is out of reach.
    """
    answer: list[tuple[dict[int, str], str | None]] = []
    # On a node that hangs the store takes connections and never answers.
    thread = Thread(target=lambda: answer.append(_call_roll(seconds)), daemon=True)
    thread.start()
    thread.join(2 * seconds)
    return answer[0] if answer else ({}, _store_address())


def _call_roll(seconds: float) -> tuple[dict[int, str], str | None]:
    size = torch.distributed.get_world_size()
    try:
        store = _store(seconds)
        store.set(_key('alive', torch.distributed.get_rank()), '1')
        end = time.monotonic() + seconds
        missing = set(range(size))
        while missing and time.monotonic() < end:
            missing = {rank for rank in missing if not store.check([_key('alive', rank)])}
            time.sleep(0.2)
        return {rank: _noted_node(store, rank) for rank in sorted(missing)}, None
    except RuntimeError:
        # Every error of a store is one.
        return {}, _store_address()


def _store_address() -> str:
    return f'{os.environ.get("MASTER_ADDR")}:{os.environ.get("MASTER_PORT")}'


def describe_missing(missing: dict[int, str], store: str | None) -> str:
    """The error text: nodes with their ranks, and what to do."""
    if store:
        return f'the node at {store} (MASTER_ADDR) no longer answers; the run can go on from its last checkpoint'
    if not missing:
        return 'the connection between the processes was interrupted, but all of them still answer'
    nodes: dict[str, list[int]] = {}
    for rank, node in missing.items():
        nodes.setdefault(node, []).append(rank)
    listed = '; '.join(f'{node}, rank {", ".join(map(str, ranks))}' for node, ranks in nodes.items())
    return f'no answer from: {listed}. Look there for the cause; the run can go on from its last checkpoint'


def _store(seconds: float = 60) -> TCPStore:
    host, port = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
    return TCPStore(host, port, is_master=False, wait_for_workers=False, timeout=timedelta(seconds=seconds))


def _key(purpose: str, rank: int) -> str:
    # The store of torchrun lives on when the processes are started again.
    return f'mmseq/{os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")}/{purpose}/{rank}'


def _noted_node(store: Any, rank: int) -> str:
    key = _key('node', rank)
    return store.get(key).decode() if store.check([key]) else 'a node that never started'


def _this_node() -> str:
    """Host name and the address by which this node reaches the first one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # No packet is sent: connecting only chooses the way.
            probe.connect((os.environ['MASTER_ADDR'], 9))
            address = probe.getsockname()[0]
        except OSError:
            address = 'address unknown'
    return f'node {socket.gethostname()} ({address})'
