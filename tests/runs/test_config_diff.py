"""Differences of configs are those that a reader would name."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmseq.errors import InputError
from mmseq.runs.config_diff import ABSENT, Change, among, difference, read_bases

ROOT = Path(__file__).parents[2]


def test_entries_are_added_removed_and_changed() -> None:
    old = dict(lr=0.1, model=dict(type='A', depth=2, norm=None), gone=1)
    new = dict(lr=0.2, model=dict(type='A', depth=2, norm=dict(type='LN')), seed=0)
    changes = difference(old, new)
    assert changes == [
        Change('lr', 0.1, 0.2),
        Change('model.norm', None, dict(type='LN')),
        Change('seed', ABSENT, 0),
        Change('gone', 1, ABSENT),
    ]
    assert [change.kind for change in changes] == ['changed', 'changed', 'added', 'removed']


def test_equal_configs_have_no_difference_whether_tuple_or_list() -> None:
    assert difference(dict(a=(1, (2, 3)), b=[dict(c=(4,))]), dict(b=[dict(c=[4])], a=[1, [2, 3]])) == []


def test_another_type_is_one_change() -> None:
    old, new = dict(type='SGD', lr=0.1), dict(type='AdamW', lr=0.1, betas=(0.9, 0.999))
    assert difference(dict(optimizer=old), dict(optimizer=new)) == [Change('optimizer', old, new)]


def test_a_step_more_in_a_pipeline_is_one_addition() -> None:
    load, resize, flip, pack = (dict(type=name) for name in ('Load', 'Resize', 'Flip', 'Pack'))
    assert difference(dict(p=[load, resize, pack]), dict(p=[load, resize, flip, pack])) == [Change('p.2', ABSENT, flip)]
    assert difference(dict(p=[load, flip, resize, pack]), dict(p=[load, resize, pack])) == [Change('p.1', flip, ABSENT)]
    assert difference(dict(p=[load, dict(resize, s=1)]), dict(p=[load, dict(resize, s=2)])) == [Change('p.1.s', 1, 2)]


def test_lists_of_values_are_values() -> None:
    assert difference(dict(a=(1, 2, 3), b=[(0, 0)]), dict(a=(1, 2), b=[(0, 1)])) == [
        Change('a', (1, 2, 3), (1, 2)),
        Change('b', [(0, 0)], [(0, 1)]),
    ]


def test_a_leaf_over_its_bases() -> None:
    path = ROOT / 'configs' / 'mask_rcnn_seq2d_nano_shapes.py'
    changes = {change.key: change for change in difference(read_bases(path), Config.fromfile(path))}
    assert changes['default_hooks.checkpoint.max_keep_ckpts'].old == 3
    assert changes['default_hooks.checkpoint.max_keep_ckpts'].new == 1
    assert changes['model.neck.out_channels'].new == 64
    assert changes['model.backbone.type'].new == 'mmseq.Sequencer2D'
    assert changes['backbone'].kind == 'removed'
    assert not any(key.startswith('test_pipeline') for key in changes)


def test_bases_of_one_name_of_other_packages_and_none(tmp_path: Path) -> None:
    leaf = tmp_path / 'leaf.py'
    leaf.write_text("_base_ = 'mmdet::_base_/default_runtime.py'\nlog_level = 'ERROR'\n")
    assert [change.key for change in difference(read_bases(leaf), Config.fromfile(leaf))] == ['log_level']
    leaf.write_text('a = 1\n')
    assert read_bases(leaf) is None


@pytest.mark.parametrize(
    'text, complaint', [('_base_ = 5', 'TypeError'), ("_base_ = ['gone.py']", 'gone'), ('a = (', 'SyntaxError')]
)
def test_broken_bases(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / 'leaf.py').write_text(text)
    with pytest.raises(InputError, match=f'leaf.py: .*{complaint}'):
        read_bases(tmp_path / 'leaf.py')


def test_among_several_configs() -> None:
    a = dict(lr=0.1, model=dict(type='A', depth=2), hooks=[dict(type='H', n=1)], p=[dict(type='L')])
    b = dict(a, lr=0.2, hooks=[dict(type='H', n=2)])
    c = dict(a, model=dict(type='B'), p=[dict(type='L'), dict(type='M')], seed=0)
    assert among([a, b, c]) == [
        ('lr', [0.1, 0.2, 0.1]),
        ('model', [a['model'], a['model'], c['model']]),
        ('hooks.0.n', [1, 2, 1]),
        ('p', [a['p'], a['p'], c['p']]),
        ('seed', [ABSENT, ABSENT, 0]),
    ]
    assert among([a, dict(a)]) == among([a]) == []
