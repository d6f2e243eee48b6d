"""tools/report.py from the command line."""

import json
import re

import pytest

from mmseq.cli.report import main
from mmseq.errors import InputError
from tests.fake_runs import write_run


def data_of(path):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*)</script>', path.read_text())[1])


def test_one_run_and_what_is_missing(tmp_path, capsys):
    """No checkpoint and no data set: the page says so and has everything else."""
    write_run(tmp_path / 'a')
    assert main([str(tmp_path / 'a')]) == 0
    page = tmp_path / 'a' / 'report.html'
    assert str(page) in capsys.readouterr().out
    found = data_of(page)
    assert (found['title'], found['gallery']) == ('a', [])
    assert found['notes'] == [
        f'a: no pictures, since {tmp_path}/a/iter_30.pth is gone, and folder {tmp_path}/a: holds no checkpoint: looked '
        'for best_*.pth, iter_*.pth, epoch_*.pth and model.safetensors; name a file'
    ]
    assert found['runs'][0]['final']['mIoU'] == 40


def test_several_runs_without_images(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / 'x_seeds' / f'seed_{seed}', seed=seed)
    write_run(tmp_path / 'y', lr=0.2)
    out = tmp_path / 'out' / 'page.html'
    assert main([str(tmp_path / 'x_seeds'), str(tmp_path / 'y'), '--images', '0', '--out', str(out)]) == 0
    found = data_of(out)
    assert [run['name'] for run in found['runs']] == ['seed_0', 'seed_1', 'y']
    assert [group['runs'] for group in found['groups']] == [['seed_0', 'seed_1'], ['y']]
    assert found['differences'] == [['optim_wrapper.optimizer.lr', ['0.1', '0.2']]]
    assert found['notes'] == []
    assert [path.name for path in out.parent.iterdir()] == ['page.html']


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match=r'none: no such folder'):
        main([str(tmp_path / 'none')])
    write_run(tmp_path / 'a')
    with pytest.raises(InputError, match=r'--images -1: expected 0 or more'):
        main([str(tmp_path / 'a'), '--images', '-1'])
    with pytest.raises(InputError, match=r'--configs .*none: no such folder'):
        main([str(tmp_path / 'a'), '--configs', str(tmp_path / 'none')])
