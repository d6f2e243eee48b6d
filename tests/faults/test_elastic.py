"""torchrun starts killed workers again, and they go on by themselves."""

import os
from pathlib import Path

import pytest

from tests.faults import elastic
from tests.faults.launched import TOY
from tests.faults.toys import recorded
from tests.nursery import Nursery


def test_a_killed_worker_comes_back(nursery: Nursery, tmp_path: Path) -> None:
    row = elastic.run(nursery, tmp_path, restarts=1)
    assert row['repeated_iterations'] > 0


def test_a_restart_goes_on_from_its_own_checkpoints_only(nursery: Nursery, tmp_path: Path) -> None:
    work_dir = tmp_path / 'run'
    run = [TOY, '--no-data-check', '--work-dir', work_dir, '--cfg-options']
    nursery.train(*run, 'train_cfg.max_iters=12', log=tmp_path / 'older')
    (work_dir / 'losses.0').unlink()
    # A run that begins anew in the same folder and dies before it has saved anything.
    run.insert(1, '--anew')
    pid = nursery.start(*run, 'model.seconds=0.5', log=tmp_path / 'new')
    while not recorded(work_dir):
        assert nursery.status(pid) is None
    os.kill(pid, 9)
    nursery.wait(pid)
    nursery.train(*run, 'train_cfg.max_iters=4', log=tmp_path / 'again', TORCHELASTIC_RESTART_COUNT=1)
    assert 'resuming from' not in (tmp_path / 'again').read_text()
    nursery.train(*run, 'train_cfg.max_iters=8', log=tmp_path / 'and_again', TORCHELASTIC_RESTART_COUNT=2)
    assert 'iter_4.pth, which is whole' in (tmp_path / 'and_again').read_text()
    assert (tmp_path / 'run_earlier_1' / 'iter_12.pth').exists()
    assert not (tmp_path / 'run_earlier_2').exists()


@pytest.mark.parametrize('variable', ['TORCHELASTIC_RESTART_COUNT', 'SLURM_RESTART_COUNT'])
def test_a_first_start_is_no_restart(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmseq.engine.lock import is_restarted

    for value, expected in (('0', False), ('', False), ('1', True)):
        monkeypatch.setenv(variable, value)
        assert is_restarted() is expected
