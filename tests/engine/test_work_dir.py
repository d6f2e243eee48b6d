"""Which run a folder holds, and which checkpoint a start goes on from."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseq.checkpoints.storage import save_file
from mmseq.engine import work_dir
from mmseq.engine.work_dir import NOTE, Place, Start, claimed, newest_whole, place_of, saved_in
from mmseq.errors import InputError


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to the log."""
    lines: list[str] = []
    monkeypatch.setattr(work_dir, 'print_log', lambda text, **_: lines.append(text))
    return lines


def save(path: Path, run: str = '', step: int = 0, epoch: int = 0) -> Path:
    """A checkpoint that says of itself which run wrote it, and when."""
    meta = {'iter': step, 'epoch': epoch} | ({'run': {'id': run}} if run else {})
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({'meta': meta, 'state_dict': {'weight': torch.ones(2)}}, path)
    return path


def start(folder: Path, resume: str | Path | None = None, **options: bool) -> Start:
    """How a training in a folder would begin."""
    with claimed(Place(folder, folder), resume and str(resume), **options) as found:
        return found


def begun(folder: Path, *steps: int) -> str:
    """A folder with a run that has saved these iterations; returns its id."""
    run = start(folder).run
    for step in steps:
        save(folder / f'iter_{step}.pth', run, step)
    return run


def age(folder: Path, *names: str) -> None:
    """Set the times of files, the first the newest."""
    for seconds, name in enumerate(reversed(names)):
        os.utime(folder / name, (seconds, seconds))


def test_the_newest_is_of_the_last_iteration_whatever_the_times(tmp_path: Path) -> None:
    run = begun(tmp_path, 4, 8, 12)
    age(tmp_path, 'iter_4.pth', 'iter_8.pth', 'iter_12.pth')
    assert start(tmp_path, 'auto') == Start(run, tmp_path / 'iter_12.pth')
    # An epoch's end and a save in the middle of the next one: names cannot be compared, iterations can.
    save(tmp_path / 'epoch_3.pth', run, 15, 3)
    save(tmp_path / 'iter_17.pth', run, 17, 3)
    age(tmp_path, 'epoch_3.pth', 'iter_17.pth')
    assert start(tmp_path, 'auto').checkpoint == tmp_path / 'iter_17.pth'


def test_the_best_and_what_is_damaged_are_passed_over(tmp_path: Path) -> None:
    run = begun(tmp_path, 4, 8, 12)
    save(tmp_path / 'best_mIoU_iter_99.pth', run, 99)
    (tmp_path / 'iter_12.pth').write_bytes(b'PK')
    assert start(tmp_path, 'auto').checkpoint == tmp_path / 'iter_8.pth'
    assert newest_whole(saved_in(tmp_path)) == tmp_path / 'iter_8.pth'
    for step in (4, 8):
        (tmp_path / f'iter_{step}.pth').write_bytes(b'PK')
    with pytest.raises(InputError, match=r'none of its checkpoints is whole \(iter_4.pth, iter_8.pth, iter_12.pth\)'):
        start(tmp_path, 'auto')


def test_a_copy_goes_on_from_its_own_checkpoints(tmp_path: Path) -> None:
    run = begun(tmp_path / 'original', 4)
    # As mmengine notes it: absolute.
    (tmp_path / 'original' / 'last_checkpoint').write_text(str(tmp_path / 'original' / 'iter_4.pth'))
    shutil.copytree(tmp_path / 'original', tmp_path / 'copy')
    save(tmp_path / 'original' / 'iter_8.pth', run, 8)
    assert start(tmp_path / 'copy', 'auto') == Start(run, tmp_path / 'copy' / 'iter_4.pth')
    (tmp_path / 'copy').rename(tmp_path / 'moved')
    shutil.rmtree(tmp_path / 'original')
    assert start(tmp_path / 'moved', 'auto') == Start(run, tmp_path / 'moved' / 'iter_4.pth')


def test_checkpoints_of_another_run_are_named_and_passed_over(tmp_path: Path, said: list[str]) -> None:
    run = begun(tmp_path, 4)
    save(tmp_path / 'iter_8.pth', 'another', 8)
    assert start(tmp_path, 'auto') == Start(run, tmp_path / 'iter_4.pth')
    assert 'of another run, and passed over: iter_8.pth' in said[-1]
    (tmp_path / NOTE).unlink()
    with pytest.raises(InputError, match='checkpoints of 2 runs .*name the one to go on from: --resume CHECKPOINT'):
        start(tmp_path, 'auto')


def test_checkpoints_alone_say_which_run_they_are_of(tmp_path: Path) -> None:
    save(tmp_path / 'iter_4.pth', 'one', 4)
    assert start(tmp_path, 'auto') == Start('one', tmp_path / 'iter_4.pth')
    # Of upstream's tools: the run gets an id now, and begins with that checkpoint until it has saved one.
    save(tmp_path / 'upstream' / 'iter_4.pth', '', 4)
    first = start(tmp_path / 'upstream', 'auto')
    assert first.run
    assert start(tmp_path / 'upstream', 'auto') == first


def test_nothing_to_resume_is_refused_unless_a_run_had_begun(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(InputError, match='holds no checkpoint of a run; check --work-dir'):
        start(tmp_path / 'mistyped', 'auto', may_begin=False)
    run = begun(tmp_path / 'run')
    assert start(tmp_path / 'run', 'auto', may_begin=False) == Start(run)
    assert 'the run starts from the beginning' in said[-1]
    # As a config with resume=True asks for.
    assert start(tmp_path / 'other', 'auto').checkpoint is None


def test_a_second_start_loses_no_run(tmp_path: Path, said: list[str]) -> None:
    folder = tmp_path / 'run'
    run = begun(folder, 4)
    for _ in range(2):
        with pytest.raises(InputError, match=r'holds a run already \(iter_4.pth\).*--resume .*--anew .*--work-dir'):
            start(folder)
    other = start(folder, anew=True)
    assert (other.checkpoint, other.run != run) == (None, True)
    assert [path.name for path in folder.iterdir()] == [NOTE]
    assert 'which is now' in said[-1]
    moved = tmp_path / 'run_earlier_1'
    assert start(moved, 'auto') == Start(run, moved / 'iter_4.pth')
    # Where there is no run, nothing is moved.
    assert start(folder, anew=True).checkpoint is None
    assert not (tmp_path / 'run_earlier_2').exists()


def test_anew_moves_no_folder_that_somebody_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(tmp_path, 4)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match='--anew: .* is where this command was started'):
        start(tmp_path, anew=True)
    assert (tmp_path / 'iter_4.pth').exists()


def test_an_earlier_checkpoint_of_the_same_folder_begins_another_run(tmp_path: Path) -> None:
    run = begun(tmp_path, 4, 8)
    assert start(tmp_path, tmp_path / 'iter_8.pth') == Start(run, tmp_path / 'iter_8.pth')
    branch = start(tmp_path, tmp_path / 'iter_4.pth')
    assert branch.run != run
    # Killed before it has saved: it begins again from there, and not from what it left behind.
    assert start(tmp_path, 'auto') == branch
    save(tmp_path / 'iter_6.pth', branch.run, 6)
    assert start(tmp_path, 'auto') == Start(branch.run, tmp_path / 'iter_6.pth')


def test_a_checkpoint_of_another_folder_begins_a_run_of_its_own(tmp_path: Path) -> None:
    run = begun(tmp_path / 'a', 4)
    branch = start(tmp_path / 'b', tmp_path / 'a' / 'iter_4.pth')
    assert (branch.run != run, branch.checkpoint) == (True, tmp_path / 'a' / 'iter_4.pth')
    save(tmp_path / 'b' / 'iter_8.pth', branch.run, 8)
    assert start(tmp_path / 'b', 'auto') == Start(branch.run, tmp_path / 'b' / 'iter_8.pth')
    with pytest.raises(InputError, match='holds another run'):
        start(tmp_path / 'b', tmp_path / 'a' / 'iter_4.pth')


def test_a_restart_goes_on_from_what_the_run_saved_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SLURM_JOB_ID', '7')
    folder = tmp_path / 'run'
    begun(folder, 40)
    run = start(folder, anew=True).run
    monkeypatch.setenv('SLURM_RESTART_COUNT', '1')
    # Whatever it was started with.
    for options in (dict(anew=True), dict(), dict(resume='auto')):
        assert start(folder, **options) == Start(run)
    save(folder / 'iter_4.pth', run, 4)
    for options in (dict(anew=True), dict(), dict(resume='auto')):
        assert start(folder, **options) == Start(run, folder / 'iter_4.pth')
    # A restart of another job has no run there.
    monkeypatch.setenv('SLURM_JOB_ID', '8')
    with pytest.raises(InputError, match='holds a run already'):
        start(folder)


def test_a_note_that_is_torn(tmp_path: Path) -> None:
    begun(tmp_path, 4)
    (tmp_path / NOTE).write_text('{"run"')
    with pytest.raises(InputError, match='run.json: is no JSON .*remove it'):
        start(tmp_path, 'auto')


def test_checkpoints_may_lie_elsewhere(tmp_path: Path) -> None:
    hooks = dict(checkpoint=dict(type='CheckpointHook', out_dir=str(tmp_path / 'disk')))
    place = place_of(Config(dict(work_dir=str(tmp_path / 'run'), default_hooks=hooks)))
    assert place == Place(tmp_path / 'run', tmp_path / 'disk' / 'run')
    with claimed(place, None) as found:
        save(place.checkpoints / 'iter_4.pth', found.run, 4)
    with claimed(place, 'auto') as again:
        assert again == Start(found.run, place.checkpoints / 'iter_4.pth')
    with claimed(place, None, anew=True) as anew:
        assert anew.checkpoint is None
    assert (tmp_path / 'disk' / 'run_earlier_1' / 'iter_4.pth').exists()
    assert json.loads((tmp_path / 'run_earlier_1' / NOTE).read_text())['run'] == found.run
