"""Runs are grouped by what their configs say, and every figure is that of its run."""

from pathlib import Path

import pytest

from mmseq.runs.comparison import as_dict, common_name, differences, full_rows, group_runs, summary_rows
from mmseq.runs.run import read_runs
from tests.fake_runs import write_run


def test_runs_that_differ_by_the_seed_alone_share_a_row(tmp_path: Path) -> None:
    for i, last in enumerate((40.0, 42.0, 44.0)):
        write_run(tmp_path / f'big_{i}', seed=i, miou=(30.0, 50.0, last))
    write_run(tmp_path / 'small', lr=0.01)
    big, small = group_runs(read_runs([*(tmp_path / f'big_{i}' for i in range(3)), tmp_path / 'small']))
    assert (big.name, big.seeds, small.name, small.seeds) == ('big', [0, 1, 2], 'small', [0])
    assert big.final()['mIoU'] == dict(mean=42.0, std=2.0, min=40.0, max=44.0, n=3)
    assert big.best()['mIoU'] == dict(mean=50.0, std=0.0, min=50.0, max=50.0, n=3)
    assert small.final()['mIoU'] == dict(mean=40.0, std=None, min=40.0, max=40.0, n=1)
    assert differences([big, small]) == [('optim_wrapper.optimizer.lr', [0.1, 0.01])]


def test_two_runs_of_one_seed_stay_apart(tmp_path: Path) -> None:
    groups = group_runs(read_runs([write_run(tmp_path / 'a'), write_run(tmp_path / 'b')]))
    assert [group.name for group in groups] == ['a', 'b']
    assert differences(groups) == []


def test_runs_without_a_config_stay_apart(tmp_path: Path) -> None:
    for name in 'ab':
        (tmp_path / name).mkdir()
        (tmp_path / name / 'metrics.json').write_text('{"metrics": {"mIoU": 3.0}}')
    groups = group_runs(read_runs([tmp_path / 'a', tmp_path / 'b']))
    assert [len(group.runs) for group in groups] == [1, 1]
    assert summary_rows(groups, ['mIoU']) == (['run', 'n', 'mIoU', 'best mIoU'], [[n, '1', '3', '3'] for n in 'ab'])


@pytest.mark.parametrize('names, common', [(('x_seeds/seed_0', 'x_seeds/seed_1'), 'x_seeds'), (('ab-1', 'ab-2'), 'ab')])
def test_names_of_groups(tmp_path: Path, names: tuple[str, ...], common: str) -> None:
    assert common_name(read_runs([write_run(tmp_path / name) for name in names])) == common


def test_every_figure_has_a_column_and_a_key(tmp_path: Path) -> None:
    groups = group_runs(read_runs([write_run(tmp_path / 'a'), write_run(tmp_path / 'b', lr=0.2, miou=(1.0, 2.0, 3.0))]))
    header, rows = full_rows(groups)
    a, b = (dict(zip(header, row)) for row in rows)
    assert (a['mIoU mean'], a['best mIoU max'], a['training s mean'], a['memory MB mean']) == (40, 50, 15, 130)
    assert (b['run'], b['n'], b['seeds'], b['mIoU mean'], b['optim_wrapper.optimizer.lr']) == ('b', 1, '0', 3, '0.2')
    found = as_dict(groups)
    assert found['differences'] == [dict(key='optim_wrapper.optimizer.lr', values=dict(a=0.1, b=0.2))]
    assert found['groups'][1]['runs'] == [
        dict(name='b', folder=str(tmp_path / 'b'), seed=0, final=dict(mIoU=3.0, aAcc=90.0))
    ]
