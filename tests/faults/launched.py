"""Runs started by the scripts of tools/: their environment, and their processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TOY = HERE / 'configs' / 'toy.py'


def environment(**extra: Any) -> dict[str, str]:
    """What a script of tools/ needs to run this checkout with the toys."""
    paths = os.pathsep.join([str(ROOT), str(HERE), os.environ.get('PYTHONPATH', '')])
    texts = {key: str(value) for key, value in extra.items()}
    return dict(os.environ, PYTHONPATH=paths, PYTHON=sys.executable, OMP_NUM_THREADS='1') | texts


def start(*command: Any, log: Path, prefix: tuple[str, ...] = (), **extra: Any) -> subprocess.Popen:
    """Start a script of tools/ in a session of its own; its output goes to `log`."""
    with log.open('ab') as output:
        return subprocess.Popen(
            [*prefix, 'bash', *map(str, command)],
            cwd=ROOT,
            env=environment(**extra),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_until(condition: Callable[[], Any], process: subprocess.Popen, log: Path, seconds: float = 120) -> Any:
    """Wait for something to become true while a process runs; returns it."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert process.poll() is None, f'ended with {process.returncode}\n{log.read_text()[-3000:]}'
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.02)
    return result


def worker(work_dir: Path, rank: int) -> int:
    """Process id of a rank, as the LossRecorder of its newest start noted it; 0 before that."""
    path = work_dir / f'pid.{rank}'
    return int(path.read_text() or 0) if path.exists() else 0


def end(process: subprocess.Popen) -> None:
    """End a launcher, which ends what it started."""
    if process.poll() is None:
        process.terminate()
        process.wait(60)
