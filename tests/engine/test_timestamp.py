"""Runs that begin within one second are told apart."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.runner import runner as runner_module

from mmseq.datasets.shapes import generate
from mmseq.engine import launch, timestamp
from mmseq.engine.timestamp import free_timestamp

CONFIG = str(Path(__file__).parents[2] / 'configs' / 'upernet_seq2d_nano_shapes.py')


def test_the_next_free_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timestamp, '_taken', set())
    # Of this process, whatever the work dir.
    assert free_timestamp('20261231_235958', tmp_path / 'one') == '20261231_235958'
    assert free_timestamp('20261231_235958', tmp_path / 'other') == '20261231_235959'
    # Of an earlier one in the work dir.
    (tmp_path / '20270101_000000').mkdir()
    assert free_timestamp('20261231_235958', tmp_path) == '20270101_000001'


def test_two_runs_of_one_second_have_logs_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path / 'shapes', train=2, val=1, seed=0)
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path))
    moment = time.time()
    still = SimpleNamespace(time=lambda: moment, strftime=time.strftime, localtime=time.localtime)
    monkeypatch.setattr(runner_module, 'time', still)
    runners = []
    for length in (2, 1):
        options = {'train_dataloader.batch_size': 2, 'train_cfg.val_interval': 9, 'train_cfg.max_iters': length}
        work_dir = str(tmp_path / str(length))
        runners.append(launch.train(CONFIG, work_dir=work_dir, options=options, check_data=False))
    assert len({runner.experiment_name for runner in runners}) == 2
    assert [runner.message_hub.get_info('iter') for runner in runners] == [1, 0]
    assert [len(list((tmp_path / name).glob('*/*.log'))) for name in '21'] == [1, 1]
