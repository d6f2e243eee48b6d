"""Few images begin with weights that ship, where neither a config nor weights are named."""

from pathlib import Path
from typing import Any

import pytest

from mmseq.checkpoints import zoo
from mmseq.config import read_config
from mmseq.engine.own import recipe
from mmseq.engine.own.changes import OwnData
from mmseq.engine.own.default import Choice
from tests.zoo_cards import ship

NANO, ADDRESS = 'mmseq::faster_rcnn_seq2d_nano_shapes', 'mmseq://sequencer2d_nano_some'
INIT = 'model.backbone.init_cfg'


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(zoo, 'FOLDER', tmp_path)
    # With one, the default is a larger backbone with its authors' weights.
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    ship(tmp_path)


def begun(cards: dict[str, Path], config: str | None = None, **asked: Any) -> tuple[Any, list[str]]:
    """The backbone of a config, or of the one that is chosen, for a card, and what was derived."""
    options = asked.pop('options', {})
    own = OwnData(str(cards['boxes']), **asked)
    return read_config(own.config(config), options, own).model.backbone, own.lines


def test_few_images_begin_with_them_and_the_log_says_so(cards: dict[str, Path]) -> None:
    backbone, lines = begun(cards)
    assert backbone.init_cfg == dict(type='Pretrained', checkpoint=ADDRESS)
    (line,) = (line for line in lines if 'begins with' in line)
    assert line.startswith(f'few images: the backbone begins with {ADDRESS} (Some Photographs, top-1 25.1 %); ')
    assert line.endswith(f'--cfg-options {INIT}=None begins with random weights')
    # They know little that could be forgotten.
    assert 'frozen_stages' not in backbone


def test_arguments_with_which_they_fit_make_no_difference(cards: dict[str, Path]) -> None:
    options = {'model.backbone.drop_path_rate': 0.1, 'model.backbone.out_norm': False}
    assert begun(cards, options=options)[0].init_cfg.checkpoint == ADDRESS


@pytest.mark.parametrize(
    'options',
    [
        {INIT: None},
        {f'{INIT}.type': 'Pretrained', f'{INIT}.checkpoint': 'other.pth'},
        {'load_from': 'model.pth'},
        {'model.backbone.arch': 's'},
        {'model.backbone.patch_size': 8},
    ],
    ids=str,
)
def test_options_go_before_them(cards: dict[str, Path], options: dict[str, Any]) -> None:
    backbone, lines = begun(cards, options=options)
    assert ADDRESS not in str(backbone)
    assert not any('begins with' in line for line in lines)


def test_whatever_else_is_named_goes_before_them(cards: dict[str, Path]) -> None:
    assert begun(cards, load_from='model.pth')[0].init_cfg is None
    # A config that is named begins as it says.
    assert begun(cards, NANO)[0].init_cfg is None
    assert ADDRESS not in str(begun(cards, 'mmseq::faster_rcnn_seq2d_s_coco')[0])


def test_another_backbone_does_without(cards: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    other = Choice(NANO.replace('seq2d', 'shiftvit'), 'it is another one')
    monkeypatch.setattr('mmseq.engine.own.changes.choose_config', lambda _: other)
    assert begun(cards)[0].init_cfg is None


def test_many_images_do_without(cards: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, 'count_images', lambda _: 1000)
    assert begun(cards)[0].init_cfg is None


def test_a_config_left_by_such_a_run_gives_the_same(cards: dict[str, Path], tmp_path: Path) -> None:
    own = OwnData(str(cards['boxes']))
    read_config(own.config(None), {}, own).dump(tmp_path / 'left.py')
    backbone, _ = begun(cards, str(tmp_path / 'left.py'))
    assert backbone.init_cfg.checkpoint == ADDRESS
    assert 'frozen_stages' not in backbone


def test_random_weights_are_not_frozen(cards: dict[str, Path]) -> None:
    backbone, lines = begun(cards, 'mmseq::faster_rcnn_seq2d_s_coco', options={INIT: None})
    assert 'frozen_stages' not in backbone
    assert not any('frozen' in line for line in lines)
