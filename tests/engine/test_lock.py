"""One training at a time in a folder."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mmseq.engine import lock
from mmseq.engine.lock import NAME, locked
from mmseq.errors import InputError


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, 'BEAT', 0.05)
    monkeypatch.setattr(lock, 'SILENCE', 0.5)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to the log."""
    lines: list[str] = []
    monkeypatch.setattr(lock, 'print_log', lambda text, **_: lines.append(text))
    return lines


def held(folder: Path, **changes: object) -> Path:
    """A folder with the lock of this process, or of what differs from it; returns the lock."""
    with locked(folder):
        content = json.loads((folder / NAME).read_text())
    (folder / NAME).write_text(json.dumps(content | changes))
    return folder / NAME


def test_a_second_holder_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with locked(tmp_path / 'new'):
        message = f'process {os.getpid()} on .* is training there.*give another --work-dir'
        with pytest.raises(InputError, match=message), locked(tmp_path / 'new'):
            pass
        assert (tmp_path / 'new' / NAME).exists()
    assert list((tmp_path / 'new').iterdir()) == []


def test_it_is_let_go_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path):
        raise RuntimeError
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize('gone', ['dead', 'number_taken_by_another'])
def test_a_dead_holder_on_this_machine_is_taken_over(gone: str, tmp_path: Path, said: list[str]) -> None:
    done = subprocess.Popen([sys.executable, '-c', ''])
    done.wait()
    changes = {'dead': dict(pid=done.pid), 'number_taken_by_another': dict(process_start='1')}[gone]
    path = held(tmp_path, **changes)
    with locked(tmp_path):
        assert json.loads(path.read_text())['pid'] == os.getpid()
    assert 'is gone and left its lock; taken over' in said[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('content', [None, '', '{"pid"'], ids=['elsewhere', 'empty', 'torn'])
def test_a_holder_elsewhere_is_there_as_long_as_it_gives_signs(content: str | None, tmp_path: Path) -> None:
    path = held(tmp_path, machine='another', host='node7')
    if content is not None:
        path.write_text(content)
    done = threading.Event()
    signs = threading.Thread(target=lock._beat, args=(path, done))
    signs.start()
    try:
        with pytest.raises(InputError, match='is training there'), locked(tmp_path):
            pass
    finally:
        done.set()
        signs.join()
    with locked(tmp_path):
        pass


def test_what_slurm_starts_again_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, 'SILENCE', 60)
    monkeypatch.setenv('SLURM_JOB_ID', '7')
    held(tmp_path, machine='another')
    monkeypatch.setenv('SLURM_RESTART_COUNT', '1')
    before = time.monotonic()
    with locked(tmp_path):
        pass
    assert time.monotonic() - before < 30


def test_a_lock_that_changed_hands_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = held(tmp_path, process_start='1')
    stale = json.loads(path.read_text())
    held(tmp_path)
    monkeypatch.setattr(lock, '_is_held', lambda *_: False)
    answers = iter([stale])
    real = lock._read
    monkeypatch.setattr(lock, '_read', lambda path: next(answers, None) or real(path))
    content = path.read_text()
    lock._remove_stale(path)
    assert path.read_text() == content
