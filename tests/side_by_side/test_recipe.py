"""The configs of a comparison differ by their backbone, and by what the head reads of it."""

import pytest

from mmseq.config import load_config
from mmseq.errors import InputError
from mmseq.model.build import build
from mmseq.runs.config_diff import among
from mmseq.side_by_side.candidates import find_candidates
from mmseq.side_by_side.recipe import HEADS, check_recipe, default_config, write_config

pytest.importorskip('timm')


@pytest.mark.parametrize('head', HEADS)
def test_only_the_backbone_differs(head, tmp_path):
    config = default_config(head, own_data=False)
    check_recipe(config, head)
    paths = [write_config(one, head, config, tmp_path) for one in find_candidates(['seq2d_nano', 'swin_nano'], True)]
    configs = [load_config(str(path), {}, 'work') for path in paths]
    for cfg in configs:
        assert build(cfg).backbone.out_strides == (4, 8, 16, 32)
    differing = {key for key, _ in among([dict(cfg._cfg_dict) for cfg in configs])}
    assert differing
    assert all(key.startswith('model.backbone') or key.endswith('.in_channels') for key in differing)


def test_a_folder_of_another_comparison(tmp_path):
    one, other = find_candidates(['seq2d_nano'], True) + find_candidates(['shiftvit_nano'], True)
    path = write_config(one, 'upernet', default_config('upernet', False), tmp_path)
    assert write_config(one, 'upernet', default_config('upernet', False), tmp_path) == path
    path.rename(tmp_path / 'upernet_shiftvit_nano.py')
    with pytest.raises(InputError, match=r'upernet_shiftvit_nano\.py: is of another comparison'):
        write_config(other, 'upernet', default_config('upernet', False), tmp_path)


def test_configs_without_the_head():
    with pytest.raises(InputError, match='its model has no neck, which --head mask_rcnn has'):
        check_recipe('mmseq::upernet_seq2d_nano_shapes', 'mask_rcnn')
    with pytest.raises(InputError, match='no such file'):
        check_recipe('absent.py', 'upernet')
