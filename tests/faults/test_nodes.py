"""Two nodes: two torchrun agents, in network namespaces of their own, joined by a virtual cable, or in one machine."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.launched import ROOT, TOY, end, start, wait_until
from tests.faults.toys import recorded
from tests.nursery import Nursery

ADDRESSES = ('10.77.0.1', '10.77.0.2')


def ip(*arguments: str) -> None:
    subprocess.run(['ip', *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """Names of two connected namespaces; skips where they cannot be made."""
    names = (f'mmseq{os.getpid()}a', f'mmseq{os.getpid()}b')
    try:
        for name in names:
            ip('netns', 'add', name)
        ip('link', 'add', 'eth0', 'netns', names[0], 'type', 'veth', 'peer', 'name', 'eth0', 'netns', names[1])
        for name, address in zip(names, ADDRESSES):
            ip('-n', name, 'addr', 'add', f'{address}/24', 'dev', 'eth0')
            for device in ('eth0', 'lo'):
                ip('-n', name, 'link', 'set', device, 'up')
    except (OSError, subprocess.CalledProcessError) as error:
        for name in names:
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True, check=False)
        pytest.skip(f'network namespaces cannot be made here: {getattr(error, "stderr", error)}')
    yield names
    for name in names:
        # A launcher that waits for a lost node hears nothing else.
        inside = subprocess.run(['ip', 'netns', 'pids', name], check=True, capture_output=True, text=True)
        for pid in inside.stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        ip('netns', 'del', name)


def start_nodes(namespaces: tuple[str, str], work_dir: Path, *options: str) -> list[tuple[subprocess.Popen, Path]]:
    """Start both nodes with the environment that docs name; returns launchers and logs."""
    nodes = []
    for rank, (name, address) in enumerate(zip(namespaces, ADDRESSES)):
        log = work_dir.with_suffix(f'.{rank}.log')
        process = start(
            ROOT / 'tools' / 'dist_train.sh',
            TOY,
            1,
            '--work-dir',
            work_dir,
            '--no-data-check',
            '--cfg-options',
            'env_cfg.dist_cfg.timeout=10',
            *options,
            log=log,
            prefix=('ip', 'netns', 'exec', name),
            NNODES=2,
            NODE_RANK=rank,
            MASTER_ADDR=ADDRESSES[0],
            LOCAL_ADDR=address,
            PORT=29511,
            SILENCE_TIMEOUT=60,
            GLOO_SOCKET_IFNAME='eth0',
        )
        nodes.append((process, log))
    return nodes


@pytest.mark.long
def test_two_nodes_train_to_the_end(namespaces: tuple[str, str], tmp_path: Path) -> None:
    nodes = start_nodes(namespaces, tmp_path / 'run')
    for process, log in nodes:
        assert process.wait(240) == 0, log.read_text()[-3000:]
    assert [len(recorded(tmp_path / 'run', rank)) for rank in range(2)] == [40, 40]
    assert recorded(tmp_path / 'run', 0) != recorded(tmp_path / 'run', 1)


@pytest.mark.parametrize('lost', [1, pytest.param(0, marks=pytest.mark.long)])
def test_a_node_that_disappears_is_named_within_the_time_out(
    lost: int, namespaces: tuple[str, str], tmp_path: Path
) -> None:
    nodes = start_nodes(namespaces, tmp_path / 'run', 'train_cfg.max_iters=100000', 'model.seconds=0.05')
    process, log = nodes[1 - lost]
    for node, text in nodes:
        wait_until(lambda: len(recorded(tmp_path / 'run', 0)) >= 5, node, text)
    # Nothing comes through any more, and nobody says goodbye.
    ip('-n', namespaces[lost], 'link', 'set', 'eth0', 'down')
    named = f'({ADDRESSES[1]}), rank 1' if lost else f'ConnectionError: the node at {ADDRESSES[0]}:'
    # Ten seconds of time-out, fifteen of the roll call, and a busy machine.
    latest = time.monotonic() + 90
    while named not in log.read_text():
        assert time.monotonic() < latest, log.read_text()[-4000:]
        time.sleep(0.2)
    # torchrun itself does not come back from losing its rendezvous, which is on the first node: it is ended.
    assert process.wait(90) != 0


def test_a_first_node_that_hangs_ends_the_others(nursery: Nursery, tmp_path: Path) -> None:
    """It takes connections and never answers, so that no call to the rendezvous returns."""
    command = [ROOT / 'tools' / 'dist_train.sh', TOY, 1, '--work-dir', tmp_path / 'run', '--no-data-check']
    options = ['--cfg-options', 'train_cfg.max_iters=100000', 'model.seconds=0.05']
    common = dict(NNODES=2, MASTER_ADDR='127.0.0.1', LOCAL_ADDR='127.0.0.1', PORT=free_port(), SILENCE_TIMEOUT=3)
    # The launchers, one of which is stopped, are processes of their own.
    common |= dict(PYTHON_EXEC=nursery.pythons['PYTHON_EXEC'])
    logs = [tmp_path / f'{rank}.log' for rank in range(2)]
    first, other = (start(*command, *options, log=log, NODE_RANK=rank, **common) for rank, log in enumerate(logs))
    try:
        wait_until(lambda: len(recorded(tmp_path / 'run', 1)) >= 2, other, logs[1])
        first.send_signal(signal.SIGSTOP)
        assert other.wait(60) == 1
        assert f'error: the node at 127.0.0.1:{common["PORT"]} (MASTER_ADDR) has not answered' in logs[1].read_text()
    finally:
        for process in (first, other):
            process.send_signal(signal.SIGCONT)
            end(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]
