"""The address table: true to the code that uses it, and claiming nothing that nobody has seen."""

import re
from collections import Counter

import pytest

from mmseq.backbones import sequencer2d, shiftvit, vision_lstm
from mmseq.checkpoints import FAMILIES
from mmseq.checkpoints.fetch import web_cache
from mmseq.checkpoints.published import find_published, published

BACKBONES = {
    'sequencer2d': (sequencer2d.Sequencer2D, sequencer2d.ARCHS),
    'shiftvit': (shiftvit.ShiftViT, shiftvit.ARCHS),
    'vision_lstm': (vision_lstm.VisionLSTM, vision_lstm.ARCHS),
}


def test_there_are_rows():
    assert {row.family for row in published()} == set(BACKBONES)
    for key in ('name', 'address'):
        assert max(Counter(getattr(row, key) for row in published()).values()) == 1


@pytest.mark.parametrize('row', published(), ids=lambda row: row.name)
def test_row(row):
    _, archs = BACKBONES[row.family]
    assert row.arch in archs
    assert row.layout in {layout.name for layout in FAMILIES[row.family].layouts}
    assert row.address.startswith(('https://', 'timm://'))
    assert row.sha256 == 'unknown' or re.fullmatch('[0-9a-f]{64}', row.sha256)
    assert row.licence
    assert row.reported_top1 is None or 70 < row.reported_top1 < 90
    assert find_published(row.address) == row


@pytest.mark.parametrize('row', [row for row in published() if row.options], ids=lambda row: row.name)
def test_options_are_the_backbones(row):
    backbone, _ = BACKBONES[row.family]
    assert backbone(row.arch, **row.options).strides[0] == 8


def test_files_of_the_table_do_not_share_a_place_in_the_cache():
    places = [web_cache(row.address) for row in published() if row.address.startswith('https://')]
    assert len(set(places)) == len(places)


def test_configs_name_weights_of_the_table(configs):
    named = set()
    for name, cfg in configs.items():
        backbone = cfg.model.backbone
        # timm knows where its models' weights are; ours are in the table.
        if backbone.type == 'mmseq.Timm':
            assert backbone.init_cfg.checkpoint.startswith(f'timm://{backbone.name}.'), name
        elif backbone.get('init_cfg'):
            row = find_published(backbone.init_cfg.checkpoint)
            assert row, f'{name}: {backbone.init_cfg.checkpoint} is not in mmseq/checkpoints/weights.json'
            assert row.arch == backbone.arch, name
            assert BACKBONES[row.family][0].__name__ == backbone.type.removeprefix('mmseq.'), name
            named.add(row.name)
    assert len(named) >= 10
