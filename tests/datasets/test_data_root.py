"""MMSEQ_DATA is advised where it has an effect."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmseq.datasets.data_root import advice

MOVED = SimpleNamespace(text="data_root = '{{$MMSEQ_DATA:data}}/coco/'")
OWN = "set the data_root of the config's data sets"


@pytest.mark.parametrize(
    'cfg, place, expected',
    [
        (MOVED, 'data/coco/', 'set MMSEQ_DATA to its parent'),
        # By an option, or in the config that inherits.
        (MOVED, '/mnt/coco', OWN),
        (SimpleNamespace(text="data_root = 'data/coco/'"), 'data/coco/', OWN),
        (SimpleNamespace(text=None), 'data/coco/', OWN),
        ({}, 'data/coco/', OWN),
    ],
)
def test_advice(cfg, place, expected, monkeypatch):
    monkeypatch.delenv('MMSEQ_DATA', raising=False)
    assert advice(cfg, place) == f'put the data there or {expected}'
    monkeypatch.setenv('MMSEQ_DATA', '/elsewhere')
    assert advice(cfg, place).endswith(OWN)
    assert ('MMSEQ_DATA' in advice(cfg, '/elsewhere/coco')) == (cfg is MOVED)


def test_configs_of_ours_and_of_upstreams(configs):
    ours = configs['mask_rcnn_seq2d_nano_shapes']
    assert 'MMSEQ_DATA' in advice(ours, ours.train_dataloader.dataset.data_root)
    upstream = Config.fromfile(Config._get_cfg_path('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', '')[0])
    assert advice(upstream, upstream.train_dataloader.dataset.data_root).endswith(OWN)
