"""A comparison from its command: trainings that are kept, failures that stop nothing else, table and picture."""

import csv
import json

import pytest

from mmseq.cli import compare_backbones as cli
from mmseq.datasets import shapes
from mmseq.engine import seeds
from mmseq.errors import InputError
from mmseq.side_by_side import comparing
from tests.fake_runs import write_run

NAMES = 'seq2d_nano,shiftvit_nano'
COSTS = dict(height=64, width=64, parameters=2_000_000, backbone_parameters=500_000, madds=3e9, peak_bytes=2**20)


@pytest.fixture
def trained(monkeypatch):
    """Trainings that write their work dirs, and models that cost what is said; returns what was trained."""
    done = []

    def train_once(config, seed, folder, processes, options):
        if 'shiftvit' in config and '--fail' in options:
            raise InputError(f'seed {seed}: training ended with status 1')
        done.append((folder.parent.name, seed))
        write_run(folder, seed=seed, miou=(30.0, 50.0, 40.0 + seed))
        return {'mIoU': 40.0 + seed}

    def speeds(runs, device, file, said):
        return {name: dict(median=0.02) for name in runs}

    monkeypatch.setattr(seeds, 'train_once', train_once)
    monkeypatch.setattr(comparing, 'sizes', lambda run, device: dict(COSTS))
    monkeypatch.setattr(comparing, 'speeds', speeds)
    monkeypatch.setattr(shapes, 'generate', lambda root: root.mkdir(parents=True, exist_ok=True))
    # Changed by the command.
    monkeypatch.setenv('MMSEQ_DATA', 'before')
    return done


def test_a_table_and_a_picture(trained, tmp_path, capsys):
    given = ['--backbones', NAMES, '--seeds', '2', '--work-dir', str(tmp_path)]
    assert cli.main(given) == 0
    assert trained == [(name, seed) for name in NAMES.split(',') for seed in (0, 1)]
    found = json.loads((tmp_path / 'compare_backbones.json').read_text())
    assert found['head'] == 'upernet'
    first = found['rows'][0]
    assert first['metrics']['mIoU'] == dict(mean=40.5, std=0.5**0.5, min=40.0, max=41.0, n=2)
    assert first['training']['s/iteration']['mean'] == 0.5
    with (tmp_path / 'compare_backbones.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [row['backbone'] for row in rows] == NAMES.split(',')
    assert (rows[1]['madds'], rows[1]['mIoU mean'], rows[1]['seconds_per_image']) == ('3000000000.0', '40.5', '0.02')
    out = capsys.readouterr().out
    assert (tmp_path / 'compare_backbones.md').read_text().startswith('| backbone | weights | seeds | params M |')
    assert 'seq2d_nano     random   2      2         0.5         3        20        1        0.5' in out
    assert '40.5 ± 0.71 (40 to 41)' in out
    assert (tmp_path / 'compare_backbones.png').read_bytes().startswith(b'\x89PNG')
    # Repeated, nothing is trained again; another backbone is added.
    cli.main([*given[:1], f'{NAMES},vil_nano', *given[2:]])
    assert trained[4:] == [('vil_nano', 0), ('vil_nano', 1)]


def test_a_failed_training_does_not_stop_the_others(trained, tmp_path, capsys):
    given = ['--backbones', f'{NAMES},vil_nano', '--seeds', '1', '--work-dir', str(tmp_path), '--', '--fail']
    assert cli.main(given) == 1
    assert [name for name, _ in trained] == ['seq2d_nano', 'vil_nano']
    assert 'FAILED: shiftvit_nano: seed 0: training ended with status 1' in capsys.readouterr().out
    rows = json.loads((tmp_path / 'compare_backbones.json').read_text())['rows']
    assert [row.get('failed') for row in rows] == [None, None, 'seed 0: training ended with status 1']


def test_what_is_refused_before_any_training(trained, tmp_path):
    for arguments, said in (
        (['--backbones', 'seq2d_nano', '--', '--seed', '3'], '--seed after --: is set for each run'),
        (['--backbones', 'seq2d_nano,seq2d_nan'], 'backbone seq2d_nan: is no card'),
        (
            ['--backbones', 'seq2d_nano', '--head', 'mask_rcnn', '--config', 'upernet_seq2d_nano_shapes'],
            'has no neck',
        ),
    ):
        with pytest.raises(InputError, match=said):
            cli.main(['--work-dir', str(tmp_path), *arguments])
    assert trained == []
