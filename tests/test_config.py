"""What names a config."""

import pytest

from mmseq.config import read_config
from mmseq.errors import InputError
from tests.fake_runs import write_run


def test_a_work_dir_stands_for_the_config_of_its_run(tmp_path):
    run = write_run(tmp_path / 'run')
    cfg = read_config(str(run), {'model.backbone.arch': 's'})
    assert (cfg.model.type, cfg.model.backbone.arch, cfg.work_dir) == ('Segmentor', 's', str(run))


@pytest.mark.parametrize('name', ['absent.py', 'work_dirs/absent', 'mmseq::absent'])
def test_what_is_nowhere_is_named(name):
    with pytest.raises(InputError, match=rf'config {name}: no such file'):
        read_config(name, {})
