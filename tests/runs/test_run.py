"""A work dir is read as the run that it holds."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from mmseq.cli import compare
from mmseq.errors import InputError
from mmseq.runs.run import (
    find_runs,
    main_metrics,
    read_history,
    read_runs,
    short_names,
    training_folder,
    with_value,
)
from tests.fake_runs import LOG, write_run


def test_what_a_run_says(tmp_path: Path) -> None:
    (run,) = read_runs([write_run(tmp_path / 'a', seed=7)])
    assert (run.name, run.seed, run.iterations) == ('a', 7, 30)
    assert run.final == dict(mIoU=40.0, aAcc=90.0)
    assert run.best() == dict(mIoU=(50.0, 20), aAcc=(90.0, 30))
    assert run.seconds_per_iteration() == 0.5
    assert run.training_seconds() == pytest.approx(15.0)
    assert run.peak_megabytes() == 130
    assert run.environment['seed'] == '7'
    assert run.environment['PyTorch compiling details'] == 'PyTorch built with:\n- GCC 13.3'
    assert list(run.environment)[-1] == 'seed'


def test_a_test_alone_is_a_run_without_curves(tmp_path: Path) -> None:
    (tmp_path / 'metrics.json').write_text(json.dumps(dict(metrics=dict(mIoU=5.0), iteration=None)))
    (run,) = read_runs([tmp_path])
    assert (run.iterations, run.config, run.seed, run.training_seconds()) == (0, None, None, None)
    assert run.best() == dict(mIoU=(5.0, None))


def test_a_training_by_upstreams_tools_has_the_figures_that_it_logged(tmp_path: Path) -> None:
    write_run(tmp_path)
    for name in ('metrics.json', 'metrics_history.jsonl'):
        (tmp_path / name).unlink()
    (run,) = read_runs([tmp_path])
    assert [one.iteration for one in run.history] == [10, 20, 30]
    assert run.final == dict(mIoU=40.0, aAcc=90.0)
    assert run.best() == dict(mIoU=(50.0, 20), aAcc=(90.0, 30))


def write_upstream_test(folder: Path, stamp: str, metrics: dict[str, Any]) -> None:
    """What a test by upstream's tools leaves: mmengine's LoggerHook and visualizer."""
    home = folder / stamp
    (home / 'vis_data').mkdir(parents=True)
    (home / 'vis_data' / 'config.py').write_text("load_from = 'iter_30.pth'\nrandomness = dict(seed=3)\n")
    (home / f'{stamp}.json').write_text(json.dumps(dict(metrics, data_time=0.01, time=0.5)))
    (home / f'{stamp}.log').write_text(LOG % 3)
    (folder / 'upernet.py').write_text('model = 1\n')


def test_a_test_by_upstreams_tools_has_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, miou in (('a', 30.0), ('b', 50.0)):
        write_upstream_test(tmp_path / name, '20260101_000000', dict(mIoU=20.0))
        write_upstream_test(tmp_path / name, '20260102_000000', {'mIoU': miou, 'mDice': math.nan, 'table': [1, 2]})
    run, _ = read_runs([tmp_path / 'a', tmp_path / 'b'])
    assert run.final == dict(mIoU=30.0)
    assert run.best() == dict(mIoU=(30.0, None))
    assert (run.iterations, run.seed, run.environment['seed']) == (0, 3, '3')
    assert compare.main([str(tmp_path / 'a'), str(tmp_path / 'b')]) == 0
    assert '30' in (printed := capsys.readouterr().out)
    assert '50' in printed


def test_of_a_training_and_a_test_by_upstreams_tools_the_later_has_the_latest_figures(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_upstream_test(tmp_path, '20250101_000000', dict(mIoU=10.0))
    (tmp_path / 'metrics_history.jsonl').unlink()
    report = tmp_path / 'metrics.json'
    assert read_runs([tmp_path])[0].report == json.loads(report.read_text())
    report.unlink()
    assert read_runs([tmp_path])[0].final == dict(mIoU=40.0, aAcc=90.0)
    write_upstream_test(tmp_path, '20260202_000000', dict(mIoU=41.0))
    (run,) = read_runs([tmp_path])
    assert (run.final, run.iterations, run.seed) == (dict(mIoU=41.0), 30, 0)


def test_a_training_comes_before_a_later_test(tmp_path: Path) -> None:
    write_run(tmp_path)
    later = tmp_path / '20260202_000000' / 'vis_data'
    later.mkdir(parents=True)
    (later / 'config.py').write_text('model = 1\n')
    (later / 'scalars.json').write_text('{"mIoU": 41.0, "step": 0}')
    assert training_folder(tmp_path) == tmp_path / '20260101_000000'


def test_seeds_stand_for_their_runs_and_nothing_twice(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / 'x_seeds' / f'seed_{i}', seed=i) for i in (0, 2, 10)]
    assert find_runs([tmp_path / 'x_seeds', runs[1]]) == runs
    with pytest.raises(InputError, match=r'none: no such folder'):
        find_runs([tmp_path / 'none'])
    with pytest.raises(InputError, match=r'neither metrics.json nor'):
        find_runs([tmp_path])


def test_names_are_as_long_as_it_takes() -> None:
    assert short_names([Path('/a/x'), Path('/a/y')]) == ['x', 'y']
    assert short_names([Path('/a/x'), Path('/b/x'), Path('/b/y')]) == ['a/x', 'b/x', 'b/y']


def test_history_of_a_run_that_was_resumed_and_of_one_started_anew(tmp_path: Path) -> None:
    path = tmp_path / 'metrics_history.jsonl'
    lines = [('1', 10, 1.0), ('1', 20, 2.0), ('2', 20, 3.0), ('2', 30, 4.0)]
    text = [json.dumps(dict(run=run, iteration=i, metrics=dict(mIoU=value))) for run, i, value in lines]
    path.write_text('\n'.join([*text[:3], '{"run": "2", "iter', '', *text[3:]]))
    assert [(one.iteration, one.metrics['mIoU']) for one in read_history(path)] == [(10, 1.0), (20, 3.0), (30, 4.0)]
    path.write_text('\n'.join([*text, json.dumps(dict(run='3', iteration=10, metrics={}))]))
    assert [one.iteration for one in read_history(path)] == [10]


def test_metrics_without_a_value_are_left_out() -> None:
    metrics = {'coco/bbox_mAP_l': -1.0, 'coco/bbox_mAP': 0.2, 'a': None, 'b': float('nan'), 'list': [1], 'x': -1.0}
    assert with_value(metrics) == {'coco/bbox_mAP': 0.2, 'x': -1.0}


def test_main_metrics() -> None:
    assert main_metrics(['aAcc', 'mIoU', 'mAcc']) == ['mIoU']
    coco = ['coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/segm_mAP', 'coco_panoptic/PQ', 'coco_panoptic/PQ_th']
    assert main_metrics(coco) == ['coco/bbox_mAP', 'coco/segm_mAP', 'coco_panoptic/PQ']
    lvis = ['lvis/bbox_AP', 'lvis/bbox_AP50', 'lvis/segm_AP', 'lvis/segm_APr']
    assert main_metrics(lvis) == ['lvis/bbox_AP', 'lvis/segm_AP']
    assert main_metrics(['odd', 'even']) == ['odd']


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / 'metrics.json').write_text('{"metrics"')
    with pytest.raises(InputError, match=r'metrics.json: no JSON'):
        read_runs([tmp_path])
    (tmp_path / 'metrics.json').write_text('[]')
    with pytest.raises(InputError, match=r'metrics.json: expected an object, found list'):
        read_runs([tmp_path])
    (tmp_path / '20260101_000000' / 'vis_data' / 'config.py').write_text('model = (')
    with pytest.raises(InputError, match=r'config.py: line 1: SyntaxError'):
        read_runs([tmp_path])
