"""Several seeds as one command: statistics, files, going on, and what is refused."""

import json
import math
import sys
from pathlib import Path

import pytest

from mmseq.cli import seeds as cli
from mmseq.datasets.shapes import generate
from mmseq.engine import seeds
from mmseq.errors import InputError

SEG = str(Path(__file__).parents[2] / 'configs' / 'upernet_seq2d_nano_shapes.py')


@pytest.fixture
def trained(monkeypatch):
    """Trainings that give a metric per seed; returns which seeds were trained."""
    done = []

    def train_once(config, seed, folder, processes, options):
        if seed == 9:
            raise InputError('seed 9: training ended with status 1')
        done.append(seed)
        return {'mIoU': 10.0 * seed, 'aAcc': 1.0}

    monkeypatch.setattr(seeds, 'train_once', train_once)
    return done


def test_statistics_table_and_files(trained, tmp_path, capsys):
    assert cli.main([SEG, '--seeds', '3', '--first-seed', '1', '--work-dir', str(tmp_path / 'out')]) == 0
    assert trained == [1, 2, 3]
    report = json.loads((tmp_path / 'out' / 'seeds.json').read_text())
    assert report['statistics']['mIoU'] == dict(mean=20, std=10, min=10, max=30, seeds=3)
    assert report['statistics']['aAcc']['std'] == 0
    lines = (tmp_path / 'out' / 'seeds.csv').read_text().splitlines()
    assert lines[0] == 'metric,seed 1,seed 2,seed 3,mean,std,min,max'
    assert lines[1] == 'mIoU,10.0,20.0,30.0,20.0,10.0,10.0,30.0'
    assert 'mIoU          20        10        10        30' in capsys.readouterr().out


def test_finished_seeds_are_kept_and_more_are_added(trained, tmp_path):
    with pytest.raises(InputError, match='seed 9'):
        seeds.run_seeds(SEG, [7, 8, 9], tmp_path, 1, [])
    assert json.loads((tmp_path / 'seeds.json').read_text())['statistics']['mIoU']['seeds'] == 2
    seeds.run_seeds(SEG, [6, 7, 8], tmp_path, 1, [])
    assert trained == [7, 8, 6]


def test_one_seed_has_no_deviation(trained, tmp_path, capsys):
    cli.main([SEG, '--seeds', '1', '--work-dir', str(tmp_path)])
    assert json.loads((tmp_path / 'seeds.json').read_text())['statistics']['mIoU']['std'] is None
    assert math.isclose(0, json.loads((tmp_path / 'seeds.json').read_text())['seeds']['0']['mIoU'])


def test_what_is_refused(trained, tmp_path):
    with pytest.raises(InputError, match=r'none.py: no such file'):
        cli.main(['none.py'])
    with pytest.raises(InputError, match='--seed after --: is set for each run'):
        cli.main([SEG, '--work-dir', str(tmp_path), '--', '--seed', '3'])
    cli.main([SEG, '--seeds', '1', '--work-dir', str(tmp_path), '--', '--amp'])
    with pytest.raises(InputError, match='made by another command'):
        cli.main([SEG, '--seeds', '1', '--work-dir', str(tmp_path)])


def test_a_real_training_that_fails_and_goes_on(nursery, tmp_path, monkeypatch):
    """Two iterations, a run that cannot start and then its repetition."""
    monkeypatch.setattr(sys, 'executable', nursery.pythons['PYTHON'])
    options = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'train_dataloader.batch_size=2']
    small = ['--cfg-options', *options, 'default_hooks.checkpoint.interval=1']
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path / 'data'))
    with pytest.raises(InputError, match='seed 0: training ended with status 2'):
        seeds.run_seeds(SEG, [0], tmp_path / 'out', 1, small)
    generate(tmp_path / 'data' / 'shapes', train=2, val=1, seed=0)
    report = seeds.run_seeds(SEG, [0], tmp_path / 'out', 1, small)
    assert 0 <= report['seeds']['0']['mIoU'] <= 100
    assert (tmp_path / 'out' / 'seed_0' / 'iter_2.pth').exists()
