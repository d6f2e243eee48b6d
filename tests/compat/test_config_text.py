"""Configs are styled once, and not at all where they name many classes; the text stays equal to the config."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
from mmengine.config import Config, config
from mmengine.visualization import LocalVisBackend

from mmseq.compat import config_text
from mmseq.saved_config import read_saved_config

MANY = 1300


@pytest.fixture
def styled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of lines of each text that yapf is asked for."""
    asked: list[int] = []

    def style(text: str, style_config: object) -> tuple[str, bool]:
        asked.append(text.count('\n'))
        return text.replace('=', ' = '), True

    module = ModuleType('mmengine.config.config')
    module.FormatCode = style
    config_text._patch(module)
    monkeypatch.setattr(config, 'FormatCode', module.FormatCode)
    return asked


def with_classes(count: int) -> Config:
    """A config in mmengine's manner that names its classes and their colours for each of three loaders."""
    names = tuple(f"class {i}'s \u732b" for i in range(count))
    metainfo = dict(classes=names, palette=[(i % 256, i // 256, 7) for i in range(count)])
    loaders = {f'{name}_dataloader': dict(dataset=dict(metainfo=metainfo)) for name in ('train', 'val', 'test')}
    odd = {'a key': (), 'one': (1,), '0.5': -0.0, 'none': None, 'text': 'two\nlines', 'nested': [[1, (2, [])], {}]}
    return Config(dict(model=dict(type='X', odd=odd), names={1: 'a', 2: 'b'}, **loaders))


def test_a_run_styles_its_config_once(styled: list[int]) -> None:
    cfg = with_classes(3)
    texts = {cfg.pretty_text for _ in range(4)}
    assert len(texts) == len(styled) == 1
    cfg.model.type = 'Y'
    assert "type = 'Y'" in cfg.pretty_text
    assert len(styled) == 2


def test_a_config_of_many_classes_is_not_styled_and_reads_back_equal(tmp_path: Path, styled: list[int]) -> None:
    cfg = with_classes(MANY)
    backend = LocalVisBackend(str(tmp_path / 'vis_data'))
    backend.add_config(cfg)
    assert not styled
    path = tmp_path / 'vis_data' / 'config.py'
    assert read_saved_config(path).to_dict() == Config.fromfile(path).to_dict() == cfg.to_dict()


def test_a_text_that_is_no_python_is_refused_at_any_length(styled: list[int]) -> None:
    cfg = with_classes(MANY)
    cfg.model.odd = dict(lambda_=1, **{'class': 1})
    with pytest.raises(SyntaxError, match='Failed to format the config file'):
        _ = cfg.pretty_text


@pytest.mark.parametrize('name', ['mask2former_seq2d_s_coco', 'dino_vil_t_coco', 'cascade_mask_rcnn_vil_t_coco_3x'])
def test_the_longest_configs_of_mmseq_are_styled(name: str, configs: Mapping[str, Config], styled: list[int]) -> None:
    assert ' = ' in configs[name].pretty_text
    assert styled


def test_the_other_line_of_mmengine_has_no_such_function() -> None:
    module = ModuleType('mmengine.config.config')
    config_text._patch(module)
    assert not hasattr(module, 'FormatCode')
