"""Memory stays where it is, and no process outlives a training, however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseq.datasets.shapes import generate
from tests.faults.figures import record

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name('small_training.py')
# torch's workers look every 5 s whether their parent is alive.
PATIENCE = 20


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    (tmp_path / 'pictures').mkdir()
    draw = np.random.default_rng(0)
    for number in range(64):
        picture = draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / 'pictures' / f'{number}.png')
    # One damaged file, so that skipping goes on all the time.
    (tmp_path / 'pictures' / '7.png').write_bytes(b'')
    return tmp_path


def start(command: list, log: Path, **environment: str) -> subprocess.Popen:
    """A process in a session of its own, by which its descendants are known."""
    environment = (
        os.environ | {'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT), 'CUDA_VISIBLE_DEVICES': ''} | environment
    )
    with log.open('wb') as file:
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Behind a shell's & it would be ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def session(leader: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for folder in Path('/proc').iterdir():
        try:
            if folder.name.isdigit() and os.getsid(int(folder.name)) == leader:
                # Zombies are gone but for their parent's asking.
                state = (folder / 'stat').read_text().rpartition(')')[2].split()[0]
                found += [int(folder.name)] if state not in 'ZX' else []
        except (OSError, ProcessLookupError):
            continue
    return found


def ended(process: subprocess.Popen, log: Path, seconds: int = 120) -> int:
    """The exit status; nothing is left running if it does not come."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        for pid in session(process.pid):
            os.kill(pid, signal.SIGKILL)
        pytest.fail(f'still running after {seconds} s: {log.read_text()[-3000:]}')


def wait_for(path: Path, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)


def assert_none_left(leader: int) -> float:
    """Seconds until the last process of a session was gone."""
    begun = time.monotonic()
    while left := session(leader):
        if time.monotonic() - begun > PATIENCE:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f'{len(left)} processes are left after {PATIENCE} s')
        time.sleep(0.1)
    return time.monotonic() - begun


@pytest.mark.parametrize('workers', [pytest.param(0, marks=pytest.mark.long), 2])
def test_memory_after_2000_iterations(work_dir: Path, workers: int) -> None:
    log = work_dir / 'log'
    process = start([sys.executable, SCRIPT, work_dir, f'workers={workers}', 'iterations=2000'], log)
    assert ended(process, log, 180) == 0, log.read_text()[-3000:]
    assert assert_none_left(process.pid) < PATIENCE
    memory = json.loads((work_dir / 'memory.json').read_text())
    record(f'memory, small training, {workers} workers, MiB', memory)
    assert memory['2000'] < 1.05 * memory['200']


ENDS = {
    'end': ('iterations=30', None, 0),
    'exception': ('fail=10', None, 1),
    'bad numbers': ('bad=10', None, 2),
    'too many corrupt': ('iterations=10000', 'corrupt', 2),
    'SIGTERM': ('iterations=1000000', signal.SIGTERM, -signal.SIGTERM),
    'SIGINT': ('iterations=1000000', signal.SIGINT, -signal.SIGINT),
    'SIGKILL': ('iterations=1000000', signal.SIGKILL, -signal.SIGKILL),
}


# The others need as long again.
QUICK = ('too many corrupt', 'SIGTERM')


@pytest.mark.parametrize('end', [end if end in QUICK else pytest.param(end, marks=pytest.mark.long) for end in ENDS])
def test_no_process_is_left(work_dir: Path, end: str) -> None:
    option, event, status = ENDS[end]
    options = ['workers=2', 'iterations=100', option]
    if event == 'corrupt':
        for number in range(60):
            (work_dir / 'pictures' / f'{number}.png').write_bytes(b'no image')
    log = work_dir / 'log'
    process = start([sys.executable, SCRIPT, work_dir, *options], log)
    if isinstance(event, signal.Signals):
        wait_for(work_dir / 'ready', process, log)
        assert len(session(process.pid)) >= 3
        process.send_signal(event)
    assert ended(process, log) == status, log.read_text()[-3000:]
    record(f'seconds until no process was left, {end}', round(assert_none_left(process.pid), 1))
    text = log.read_text()
    if status == 2:
        assert 'Traceback' not in text
        assert text.strip().splitlines()[-1].startswith('error: ')


def scalars(work_dir: Path) -> list[dict]:
    files = list(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for line in files[0].read_text().splitlines()] if files else []


@pytest.mark.long
@pytest.mark.parametrize('config', ['upernet_seq2d_nano_shapes', 'mask_rcnn_seq2d_nano_shapes'])
def test_memory_of_whole_trainings(tmp_path: Path, config: str) -> None:
    """2,000 iterations of the real thing with two workers, measured from outside."""
    generate(tmp_path / 'shapes', train=64, val=2, seed=0)
    steps = (
        ['train_cfg.max_iters=2000', 'train_cfg.val_interval=100000']
        if 'upernet' in config
        else ['train_cfg.max_epochs=63', 'train_cfg.val_interval=1000']
    )
    small = ['train_dataloader.batch_size=2', 'train_dataloader.num_workers=2', 'default_hooks.logger.interval=10']
    command = [
        sys.executable,
        'tools/train.py',
        f'configs/{config}.py',
        '--work-dir',
        tmp_path / 'out',
        '--cfg-options',
    ]
    log = tmp_path / 'log'
    process = start(
        [*command, *steps, *small, 'train_dataloader.persistent_workers=True'], log, MMSEQ_DATA=str(tmp_path)
    )
    memory: dict[int, float] = {}
    while process.poll() is None:
        lines = scalars(tmp_path / 'out')
        step = lines[-1].get('step', 0) if lines else 0
        for mark in (200, 1900):
            if step >= mark and mark not in memory:
                memory[mark] = proportional(process.pid)
        time.sleep(0.5)
    assert process.wait() == 0, log.read_text()[-3000:]
    record(f'memory, {config}, 2 workers, MiB', memory)
    assert memory[1900] < 1.05 * memory[200]
    assert_none_left(process.pid)


def proportional(leader: int) -> float:
    """Memory of a session in MiB, what is shared counted once, libraries left out."""
    total = 0
    for pid in session(leader):
        try:
            lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(('Pss_Anon:', 'Pss_Shmem:')))
    return total / 1024
