"""A process that was started by another for its own purpose ends with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmseq.engine.torchrun import added_to_environment, of_child
from mmseq.files import is_alive
from mmseq.ranks import PARENT, end_with_parent

# Starts a command of mmseq that would sleep for a minute, says its number, and waits.
PARENT_CODE = """
import os, subprocess, sys, time
from mmseq.engine.torchrun import of_child
child = "import sys, time; from mmseq.cli import run; print('up', flush=True); run(lambda: time.sleep(60))"
process = subprocess.Popen([sys.executable, '-c', child], env=os.environ | of_child(os.environ), stdout=subprocess.PIPE)
process.stdout.readline()
print(process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGTERM])
def test_children_end_with_a_killed_parent(how: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, '-c', PARENT_CODE], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.send_signal(how)
    parent.communicate()
    end = time.monotonic() + 30
    while is_alive(child) and not is_zombie(child):
        assert time.monotonic() < end
        time.sleep(0.05)


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and nobody has asked how; containers without an init process keep them."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
    except OSError:
        return False


def test_what_a_child_starts_itself_is_not_told_of_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PARENT, str(os.getppid()))
    end_with_parent()
    assert PARENT not in os.environ
    assert of_child(os.environ)[PARENT] == str(os.getpid())


def test_the_environment_of_who_starts_processes_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whatever it starts later, by others' hands, would end as an orphan."""
    monkeypatch.setenv('STAYS', 'a')
    with added_to_environment({'STAYS': 'b', **of_child(os.environ)}):
        assert os.environ['STAYS'] == 'b'
        assert os.environ[PARENT] == str(os.getpid())
    assert os.environ['STAYS'] == 'a'
    assert PARENT not in os.environ
