"""Every class has a colour, and who gave too few of them is told."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from torch import nn

from mmseq.engine.settings import Settings, colour_all_classes
from mmseq.errors import InputError
from mmseq.pictures import browse
from mmseq.pictures import palette as module
from mmseq.pictures.palette import class_colours, complete_palettes, own_colour, palette

FEW = [(1, 2, 3), (4, 5, 6)]
LINE = 'metainfo.palette has 2 colours for {} classes: the other {} get'


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines that were logged."""
    lines: list[str] = []
    for home in (module, browse):
        monkeypatch.setattr(home, 'print_log', lambda text, logger, level: lines.append(text))
    return lines


def test_colours_are_given_ones_and_then_our_own():
    made = palette([f'class {i}' for i in range(40)], [[1, 2, 3]])
    assert made.dtype == np.uint8
    assert made[0].tolist() == [1, 2, 3]
    assert len({tuple(colour) for colour in made.tolist()}) == 40
    assert palette('ab', 'random').shape == palette('ab').shape == (2, 3)
    assert palette('ab', [[1, 2, 3]] * 5).shape == (2, 3)


def test_names_of_a_model_without_any():
    model = nn.Module()
    model.backbone, model.head = nn.Module(), nn.Module()
    model.backbone.num_classes, model.head.num_classes = 1000, 3
    assert class_colours(model)[0] == ('class 0', 'class 1', 'class 2')
    model.dataset_meta = dict(classes=['sky', 'sea'], palette=[[0, 0, 9], [0, 9, 0]])
    names, colours = class_colours(model)
    assert names == ('sky', 'sea')
    assert colours.tolist() == [[0, 0, 9], [0, 9, 0]]


def test_a_model_with_fewer_colours_than_classes(told: list[str]) -> None:
    model = nn.Module()
    model.dataset_meta = dict(classes=['sky', 'sea', 'sand'], palette=FEW)
    assert class_colours(model)[1].tolist() == [[1, 2, 3], [4, 5, 6], list(own_colour(2))]
    assert len(told) == 1
    assert told[0].startswith(LINE.format(3, 1))


@pytest.mark.parametrize(
    'name, classes', [('upernet_seq2d_nano_shapes', 9), ('mask_rcnn_seq2d_nano_shapes', 8), ('dino_vil_t_coco', 80)]
)
def test_data_sets_with_fewer_colours_than_classes(
    name: str, classes: int, configs: Mapping[str, Config], told: list[str]
) -> None:
    cfg = Config(configs[name]._cfg_dict.to_dict())
    assert complete_palettes(cfg) == []
    wrapped = dict(type='RepeatDataset', times=2, dataset=cfg.train_dataloader.dataset)
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[wrapped, wrapped])
    inner = cfg.train_dataloader.dataset.datasets[0].dataset
    inner.metainfo = dict(inner.get('metainfo') or {}, palette=FEW)
    cfg.custom_hooks = [dict(type='mmseq.RecipeHook', notes=[])]
    colour_all_classes(cfg, Settings('training', name))
    (note,) = cfg.custom_hooks[0].notes
    assert note.startswith(LINE.format(classes, classes - 2))
    assert inner.metainfo.palette[:2] == FEW
    assert len(inner.metainfo.palette) == classes
    assert complete_palettes(cfg) == []
    cfg.train_dataloader.dataset = dict(inner, metainfo=dict(inner.metainfo, palette=FEW))
    cfg.train_dataloader.dataset.data_root = 'nowhere'
    with pytest.raises(InputError, match='train data: .*nowhere'):
        browse.Browser(cfg, 'train')
    assert len(told) == 1


def test_colours_of_a_data_set_whose_classes_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / 'names.txt').write_text('a\nb\nc\n')
    dataset = dict(type='CocoDataset', metainfo=dict(classes=str(tmp_path / 'names.txt'), palette=FEW))
    cfg = Config(dict(default_scope='mmdet', train_dataloader=dict(dataset=dataset)))
    (text,) = complete_palettes(cfg)
    assert text.startswith(LINE.format(3, 1))
    assert complete_palettes(Config(dict(train_dataloader=dict(dataset=dict(type='Nobody'))))) == []


def test_colours_are_tuples_which_mmdets_visualiser_needs() -> None:
    dataset = dict(type='CocoDataset', metainfo=dict(classes=('a', 'b'), palette=[[1, 2, 3], [4, 5, 6]]))
    cfg = Config(dict(test_dataloader=dict(dataset=dataset)))
    assert complete_palettes(cfg) == []
    assert cfg.test_dataloader.dataset.metainfo.palette == [(1, 2, 3), (4, 5, 6)]
