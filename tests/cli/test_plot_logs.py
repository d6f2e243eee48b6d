"""tools/plot_logs.py from the command line."""

import csv

import numpy as np
import pytest
from PIL import Image

from mmseq.cli.plot_logs import main
from mmseq.errors import InputError
from tests.fake_runs import write_run


def points(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_several_runs_over_one_another(tmp_path, capsys):
    runs = [str(write_run(tmp_path / name, lr=lr)) for name, lr in (('a', 0.1), ('b', 0.2))]
    out = tmp_path / 'out' / 'x.png'
    assert main([*runs, '--out', str(out)]) == 0
    assert 'x.png' in capsys.readouterr().out
    rows = points(out.with_suffix('.csv'))
    assert {row['key'] for row in rows} == {'loss', 'mIoU', 'lr', 'time', 'memory'}
    assert [float(row['value']) for row in rows if (row['run'], row['key']) == ('b', 'mIoU')] == [30, 50, 40]
    pixels = np.asarray(Image.open(out).convert('RGB')).reshape(-1, 3)
    # the colours of the first two lines
    for colour in ((0, 114, 178), (213, 94, 0)):
        assert (pixels == colour).all(1).sum() > 100


def test_one_run_with_chosen_keys(tmp_path):
    write_run(tmp_path)
    assert main([str(tmp_path), '--keys', 'm*', 'loss']) == 0
    assert {row['key'] for row in points(tmp_path / 'logs.csv')} == {'loss', 'mIoU', 'memory'}
    assert {row['run'] for row in points(tmp_path / 'logs.csv')} == {tmp_path.name}


def test_smoothing_is_seen_and_can_be_switched_off(tmp_path):
    write_run(tmp_path)
    pictures = []
    for smoothing in ('0', '0.05', '0.5'):
        main([str(tmp_path), '--keys', 'loss', '--smoothing', smoothing])
        pictures.append((tmp_path / 'logs.png').read_bytes())
    assert len(set(pictures)) == 3


@pytest.mark.parametrize(
    'options, complaint',
    [
        (['--keys', 'los'], r'--keys los: not logged; nearest: loss'),
        (['--smoothing', '2'], r'--smoothing 2.0: expected a share'),
        (['--out', 'x.jpg'], r'--out x.jpg: the picture is a PNG'),
    ],
)
def test_what_is_refused(tmp_path, options, complaint):
    write_run(tmp_path)
    with pytest.raises(InputError, match=complaint):
        main([str(tmp_path), *options])


def test_a_test_has_no_curves(tmp_path):
    (tmp_path / 'metrics.json').write_text('{"metrics": {"mIoU": 3.0}}')
    with pytest.raises(InputError, match=r'no training log in it'):
        main([str(tmp_path)])
