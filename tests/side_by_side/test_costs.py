"""Costs are those of the trained models, measured once."""

import pytest
import torch
from mmengine.config import Config

from mmseq.config import load_config
from mmseq.model.build import build_here
from mmseq.side_by_side import costs


@pytest.fixture
def run(tmp_path):
    """A work dir with a checkpoint, of a model that nobody trained."""
    cfg = load_config('mmseq::upernet_seq2d_nano_shapes', {'model.data_preprocessor.size': (64, 64)}, 'work')
    for step in cfg.train_dataloader.dataset.pipeline:
        if step.type == 'RandomCrop':
            step.crop_size = (64, 64)
    folder = tmp_path / 'seq2d_nano' / 'seed_0'
    (folder / '20260101_000000' / 'vis_data').mkdir(parents=True)
    Config(cfg._cfg_dict).dump(folder / '20260101_000000' / 'vis_data' / 'config.py')
    torch.save(dict(state_dict=build_here(cfg).state_dict(), meta={}), folder / 'iter_1.pth')
    return folder


def test_costs_of_a_work_dir(run, monkeypatch):
    calls = []

    def peak(make, arguments, device):
        calls.append(make(*arguments)())
        return 7

    monkeypatch.setattr(costs, 'peak_bytes', peak)
    monkeypatch.setattr(costs, 'BUDGET', 0.0)
    found = costs.sizes(run, 'cpu')
    assert (found['height'], found['width'], found['peak_bytes']) == (64, 64, 7)
    assert 0.5e6 < found['backbone_parameters'] < found['parameters'] < 2e6
    assert 0 < found['backbone_madds'] < found['madds']
    assert found['uncounted'] == []
    assert costs.sizes(run, 'cpu') == found
    assert len(calls) == 1
    timed = costs.speeds({'a': run, 'b': run}, 'cpu', run.parent / 'speed.json')
    assert set(timed) == {'a', 'b'}
    assert 0 < timed['a']['quartile_1'] <= timed['a']['median']
    monkeypatch.setattr(costs, 'alternate', None)
    assert costs.speeds({'a': run, 'b': run}, 'cpu', run.parent / 'speed.json') == timed
