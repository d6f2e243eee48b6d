"""Killed runs lose nothing; a small number of kills of what `make faults` does a hundred times."""

from pathlib import Path

import pytest

from tests.faults import kills
from tests.nursery import Nursery


@pytest.mark.parametrize(
    ('name', 'number'), [('toy', 4), ('toy_epochs', 3), pytest.param('seg', 2, marks=pytest.mark.long)]
)
def test_killed_runs_end_as_the_run_left_alone(
    name: str, number: int, nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = {
        'toy': (48, ['train_cfg.max_iters=48', 'model.seconds=0.005']),
        'toy_epochs': (20, ['train_cfg.max_epochs=4', 'model.seconds=0.005']),
        'seg': (9, ['train_cfg.max_iters=9', 'train_cfg.val_interval=6']),
    }
    monkeypatch.setattr(kills, 'LENGTHS', shorter)
    row = kills.survive(nursery, name, tmp_path, number, seed=1)
    assert row['kills'] == number == sum(row.get(f'while_{kind}', 0) for kind in ('starting', 'training', 'saving'))


def test_a_loss_that_differs_would_be_seen(nursery: Nursery, tmp_path: Path) -> None:
    command = [Path(__file__).parent / 'configs' / 'toy.py', '--no-data-check', '--work-dir', tmp_path / 'run']
    nursery.train(*command, '--cfg-options', 'train_cfg.max_iters=8', log=tmp_path / 'log')
    whole = dict(kills.recorded(tmp_path / 'run'))
    kills.compare(tmp_path / 'run', tmp_path / 'run', whole, 8)
    whole[5] += 1e-7
    with pytest.raises(AssertionError, match='1 losses differ'):
        kills.compare(tmp_path / 'run', tmp_path / 'run', whole, 8)
