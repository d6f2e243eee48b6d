"""tools/compare.py from the command line."""

import csv
import json

import pytest

from mmseq.cli.compare import main
from mmseq.errors import InputError
from tests.fake_runs import write_run


@pytest.fixture
def runs(tmp_path):
    """A config with two seeds and one with another learning rate."""
    write_run(tmp_path / 'a_seeds' / 'seed_0', seed=0, miou=(1.0, 2.0, 30.0))
    write_run(tmp_path / 'a_seeds' / 'seed_1', seed=1, miou=(1.0, 2.0, 32.0))
    write_run(tmp_path / 'b', lr=0.2)
    return [str(tmp_path / 'a_seeds'), str(tmp_path / 'b')]


def test_tables_and_files(runs, tmp_path, capsys):
    out = tmp_path / 'out'
    assert main([*runs, '--out', str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ' '.join(lines[0].split()) == 'run n mIoU best mIoU iterations s/iteration training s memory MB'
    assert lines[1].startswith('a_seeds  2  31 ± 1.4 (30 to 32)  31 ± 1.4')
    assert lines[2].split() == ['b', '1', '40', '50', '30', '0.5', '15', '130']
    assert [line.split() for line in lines[4:6]] == [
        ['config', 'entry', 'a_seeds', 'b'],
        ['optim_wrapper.optimizer.lr', '0.1', '0.2'],
    ]
    found = json.loads((out / 'compare.json').read_text())
    assert found['groups'][0]['final']['mIoU'] == pytest.approx(dict(mean=31, std=2**0.5, min=30, max=32, n=2))
    with (out / 'compare.csv').open() as file:
        assert [row['seeds'] for row in csv.DictReader(file)] == ['0 1', '0']
    assert '| b | 1 | 40 | 50 |' in (out / 'compare.md').read_text()


def test_markdown_and_other_metrics(runs, tmp_path, capsys):
    assert main([*runs, '--out', str(tmp_path), '--format', 'markdown', '--metrics', 'a*']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('| run | n | aAcc | best aAcc |')
    assert lines[1].startswith('| --- | --- |')
    assert lines[3].startswith('| b | 1 | 90 | 90 |')


def test_one_run_has_nothing_to_differ_from(runs, tmp_path, capsys):
    assert main([runs[1], '--out', str(tmp_path)]) == 0
    assert 'config entry' not in capsys.readouterr().out


def test_what_is_refused(runs, tmp_path):
    with pytest.raises(InputError, match=r'--metrics PQ: no such metric; there are mIoU, aAcc'):
        main([*runs, '--metrics', 'PQ', '--out', str(tmp_path)])
    with pytest.raises(InputError, match=r'none: no such folder'):
        main([str(tmp_path / 'none')])
