"""Configs of packages are found by their name; of ours, see tests/test_setup.py."""

import pytest
from mmengine.config import Config
from mmengine.config import utils as config_utils

from mmseq.compat import shipped_configs


def test_upstreams_bases_are_found_without_reading_its_metafiles(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(config_utils, 'load', lambda path: read.append(path) or dict(Import=[]))
    path, scope = Config._get_cfg_path('mmseg::_base_/models/upernet_r50.py', '')
    assert path == shipped_configs.upstream('mmseg::_base_/models/upernet_r50')
    assert path.endswith('mmseg/.mim/configs/_base_/models/upernet_r50.py')
    assert (scope, read) == ('mmseg', [])
    # What does not lie there is mmengine's to look for, and to refuse.
    with pytest.raises(FileNotFoundError, match='nowhere'):
        Config._get_cfg_path('mmseg::_base_/models/nowhere.py', '')
    assert len(read) == 1
