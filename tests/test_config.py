"""Configs that runs leave are values; what a stranger wrote into one is not run."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmseq.config import read_config, read_saved_config
from mmseq.errors import InputError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / 'vis_data' / 'config.py'
    path.parent.mkdir()
    return path


def test_values_are_those_that_were_written(saved: Path, configs: dict[str, Config]) -> None:
    names = sorted(configs)[::9]
    assert len(names) > 3
    for name in names:
        configs[name].dump(saved)
        expected = Config.fromfile(saved, import_custom_modules=False).to_dict()
        assert read_saved_config(saved).to_dict() == expected
    odd = dict(a=-1.5, b=(1, [2, {'x y': None}]), c=True, d="it's", e=float('inf'), f=-float('inf'), g={1: 2}, h=1e-5)
    Config(odd).dump(saved)
    assert read_saved_config(saved).to_dict() == odd


@pytest.mark.parametrize(
    'text',
    [
        'import os\n',
        'a = open("{marker}", "w")\n',
        'a = dict(b=open("{marker}", "w"))\n',
        'a = [x for x in (open("{marker}", "w"),)]\n',
        "a = f\"{{open('{marker}', 'w')}}\"\n",
        'a = {{**dict(b=open("{marker}", "w"))}}\n',
        'a: dict = 1\n',
        'open("{marker}", "w")\n',
        'if True:\n    a = 1\n',
        '_base_ = "evil.yaml"\n',
        '_base_ = ["evil.py"]\n',
        'a = b = 1\n',
        'a = dict(1)\n',
        'a = x\n',
        'a = -dict\n',
    ],
)
@pytest.mark.parametrize('read', [read_saved_config, lambda path: read_config(str(path), {})])
def test_nothing_in_them_is_run(saved: Path, tmp_path: Path, text: str, read) -> None:
    marker = tmp_path / 'marker'
    (saved.parent / 'evil.yaml').write_text(f'a: !!python/object/apply:os.system ["touch {marker}"]\n')
    (saved.parent / 'evil.py').write_text(f'open("{marker}", "w")\n')
    saved.write_text(text.format(marker=marker))
    with pytest.raises(InputError, match=r'config .*config\.py: line \d is more than a value') as caught:
        read(saved)
    assert '\n' not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    'text', ['a = (\n', 'a = "\0"\n', 'a = ' + '[' * 5000 + '\n', ''.join(['a = ', '-' * 9999, '1'])]
)
def test_damaged_ones_are_one_line(saved: Path, text: str) -> None:
    saved.write_text(text)
    with pytest.raises(InputError, match='config ') as caught:
        read_saved_config(saved)
    assert '\n' not in str(caught.value)
