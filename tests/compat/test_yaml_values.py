"""A YAML file is read as values, wherever mmengine reads one."""

import pytest
from mmengine.config import Config
from mmengine.fileio import load

from mmseq.config import read_config
from mmseq.errors import InputError


@pytest.mark.parametrize('tag', ['object/apply:os.mkdir', 'object/new:os.mkdir', 'name:os.mkdir', 'object:os.mkdir'])
def test_nothing_is_run(tmp_path, tag):
    path, made = tmp_path / 'c.yaml', tmp_path / 'made'
    path.write_text(f'a: 1\nb: !!python/{tag} ["{made}"]\n')
    with pytest.raises(InputError, match=rf'^config .*c\.yaml: ValueError: line 2: .*{tag}.* is more than a value'):
        read_config(str(path), {})
    inheriting = tmp_path / 'inheriting.py'
    inheriting.write_text('_base_ = "c.yaml"\n')
    with pytest.raises(InputError, match='is more than a value, and YAML is not run'):
        read_config(str(inheriting), {})
    assert not made.exists()


def test_values_are_what_they_were(tmp_path):
    cfg = Config(dict(a=(1, 2.5), b=[None, True], c=dict(d='text')))
    cfg.dump(tmp_path / 'c.yaml')
    assert load(tmp_path / 'c.yaml') == dict(a=(1, 2.5), b=[None, True], c=dict(d='text'))
    assert read_config(str(tmp_path / 'c.yaml'), {}).to_dict() == cfg.to_dict()


def test_damaged_yaml_is_one_line(tmp_path):
    path = tmp_path / 'c.yaml'
    path.write_text('a: [1, 2\nb: }\n')
    with pytest.raises(InputError, match=r'c\.yaml: ValueError: line 2: ') as caught:
        read_config(str(path), {})
    assert '\n' not in str(caught.value)
