"""Torn files, full disks, and what a killed save leaves."""

import contextlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from mmseq.checkpoints.storage import load_file
from mmseq.engine.work_dir import newest_whole, saved_in
from tests.faults.toys import recorded
from tests.nursery import Nursery

TOY = Path(__file__).parent / 'configs' / 'toy.py'


def test_resume_skips_torn_files_and_says_so(nursery: Nursery, tmp_path: Path) -> None:
    command = [TOY, '--no-data-check', '--cfg-options', 'default_hooks.checkpoint.max_keep_ckpts=9']
    short = [*command, 'train_cfg.max_iters=16', '--work-dir', tmp_path / 'run']
    nursery.train(*short, log=tmp_path / 'log')
    whole = dict(recorded(tmp_path / 'run'))
    # 16 is cut, 12 has a flipped bit, and a save was interrupted.
    with (tmp_path / 'run' / 'iter_16.pth').open('r+b') as file:
        file.truncate(file.seek(0, os.SEEK_END) // 2)
    with (tmp_path / 'run' / 'iter_12.pth').open('r+b') as file:
        file.seek(-5000, os.SEEK_END)
        bit = file.read(1)[0] ^ 1
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([bit]))
    leftover = tmp_path / 'run' / '.iter_20.pth.0123abcd-1-0123abcd.draft'
    leftover.write_bytes(b'half')
    (tmp_path / 'run' / 'losses.0').unlink()
    nursery.train(*short, '--resume', log=tmp_path / 'again')
    output = (tmp_path / 'again').read_text()
    assert 'iter_16.pth: is torn or damaged (its end is missing); skipped' in output
    assert 'iter_12.pth: is torn or damaged (its SHA-256 differs from the one noted in it); skipped' in output
    assert f'resuming from {tmp_path}/run/iter_8.pth, which is whole' in output
    assert not leftover.exists()
    assert dict(recorded(tmp_path / 'run')) == {iteration: whole[iteration] for iteration in range(8, 16)}


def test_a_validation_that_is_made_up_for_finds_what_it_would_have_found(nursery: Nursery, tmp_path: Path) -> None:
    command = [TOY, '--no-data-check', '--work-dir', tmp_path / 'run', '--cfg-options', 'train_cfg.max_iters=8']
    for log, resume in (('log', []), ('again', ['--resume'])):
        nursery.train(*command, *resume, log=tmp_path / log)
        # As after a kill before the end of the validation. What it validates is drawn at random.
        (tmp_path / 'run' / 'last_validation').unlink()
    assert 'it is repeated' in (tmp_path / 'again').read_text()
    # two files, or one if both starts were in one second
    lines = [line for path in (tmp_path / 'run').glob('*/vis_data/scalars.json') for line in path.open()]
    first, second = (found['score'] for found in map(json.loads, lines) if 'score' in found)
    assert first == second


def test_a_named_torn_checkpoint_is_refused(nursery: Nursery, tmp_path: Path) -> None:
    (tmp_path / 'iter_4.pth').write_bytes(b'PK\x03\x04 torn')
    pid = nursery.start(
        TOY,
        '--work-dir',
        tmp_path / 'run',
        '--resume',
        tmp_path / 'iter_4.pth',
        '--no-data-check',
        log=tmp_path / 'log',
    )
    assert nursery.wait(pid) == 2
    assert f'error: {tmp_path}/iter_4.pth: is torn or damaged' in (tmp_path / 'log').read_text()


@contextlib.contextmanager
def small_disk(folder: Path, size: str):
    """A file system of its own in memory; skips where nobody may mount one."""
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f'no tmpfs can be mounted here: {done.stderr.decode().strip()}')
    try:
        yield
    finally:
        subprocess.run(['umount', '--lazy', str(folder)], check=True)


def check_that_the_old_checkpoint_goes_on(nursery: Nursery, status: int, work_dir: Path, log: Path) -> int:
    output = log.read_text()
    assert status == 2, output[-2000:]
    assert 'what was saved before is whole: free disk space and continue with --resume' in output
    assert 'Traceback' not in output
    found = newest_whole(saved_in(work_dir))
    assert load_file(found)['meta']['iter'] == int(found.stem.split('_')[1])
    assert not list(work_dir.glob('.*.draft'))
    return int(found.stem.split('_')[1])


def test_full_disk_ends_in_one_line_and_leaves_the_old_checkpoint(nursery: Nursery, tmp_path: Path) -> None:
    (tmp_path / 'disk').mkdir()
    with small_disk(tmp_path / 'disk', '200k'):
        command = [TOY, '--no-data-check', '--work-dir', tmp_path / 'disk' / 'run']
        # Neither the checkpoint that is replaced nor the next one fits beside the others.
        pid = nursery.start(
            *command, '--cfg-options', 'default_hooks.checkpoint.max_keep_ckpts=99', log=tmp_path / 'log'
        )
        step = check_that_the_old_checkpoint_goes_on(
            nursery, nursery.wait(pid), tmp_path / 'disk' / 'run', tmp_path / 'log'
        )
        assert 'No space left on device' in (tmp_path / 'log').read_text()
        subprocess.run(['mount', '-o', 'remount,size=9m', str(tmp_path / 'disk')], check=True)
        nursery.train(*command, '--resume', log=tmp_path / 'again')
        assert recorded(tmp_path / 'disk' / 'run')[-1][0] == 39
        assert f'iter_{step}.pth, which is whole' in (tmp_path / 'again').read_text()


def test_file_size_limit_while_replacing_the_only_checkpoint(nursery: Nursery, tmp_path: Path) -> None:
    run = [TOY, '--no-data-check', '--work-dir', tmp_path / 'run', '--cfg-options', 'log_level=ERROR']
    nursery.train(*run, 'train_cfg.max_iters=4', log=tmp_path / 'log')
    before = (tmp_path / 'run' / 'iter_4.pth').read_bytes()
    # Room for everything but another of these; the log of two starts in one second would be larger.
    assert len(before) > 17_500
    pid = nursery.start(*run, 'model.seconds=0', '--resume', log=tmp_path / 'again', FILE_SIZE_LIMIT=17_000)
    assert check_that_the_old_checkpoint_goes_on(nursery, nursery.wait(pid), tmp_path / 'run', tmp_path / 'again') == 4
    assert (tmp_path / 'run' / 'iter_4.pth').read_bytes() == before
    assert 'iter_8.pth: cannot be written (File too large)' in (tmp_path / 'again').read_text()
