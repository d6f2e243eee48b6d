"""The key-table engine."""

import pytest
import torch

from mmseq.checkpoints.rules import (
    NEXT_STAGE,
    Drop,
    Family,
    FieldMap,
    Layout,
    Rename,
    TensorMap,
    rename,
    template_regex,
)

LAYOUT = Layout(
    'theirs',
    'a.0.w',
    (
        Rename('a.{i}.last.{rest}', 'b.{i}.{rest}', FieldMap(lambda f: {**f, 'i': str(int(f['i']) + 1)})),
        Rename('a.{i}.{rest}', 'b.{i}.{rest}'),
        Drop('head.{rest}', 'classifier'),
    ),
)


def test_templates_match_whole_keys_only():
    regex = template_regex('a.{i}.x.{rest}')
    assert regex.fullmatch('a.12.x.y.z').groupdict() == {'i': '12', 'rest': 'y.z'}
    assert not regex.fullmatch('a.q.x.y')
    assert not regex.fullmatch('aa1.x.y')


def test_first_rule_decides_and_the_rest_is_unexplained():
    source = {key: torch.zeros(1) for key in ('a.0.w', 'a.0.last.w', 'head.w', 'extra')}
    result = rename(source, LAYOUT)
    assert list(result.tensors) == ['b.0.w', 'b.1.w']
    assert result.dropped == {'head.w': 'classifier'}
    assert result.unexplained == ['extra']


def test_two_keys_for_one_target_are_unexplained():
    result = rename({'a.0.last.w': torch.zeros(1), 'a.1.w': torch.zeros(1)}, LAYOUT)
    assert result.unexplained == ['a.1.w']


@pytest.mark.parametrize('keys,name', [(['a.0.w', 'x'], 'theirs'), (['x'], None)])
def test_layout_is_found_by_its_mark(keys, name):
    layout = Family('f', (LAYOUT,)).find_layout(keys)
    assert (layout.name if layout else None) == name


def test_tensors_are_computed_where_a_rule_says_so():
    layout = Layout(
        'x',
        'w',
        (Rename('w', 'w', tensor=TensorMap(lambda t: t.flatten(1), lambda t: t[..., None, None])), Rename('b', 'b')),
    )
    result = rename({'w': torch.zeros(2, 3, 1, 1), 'b': torch.zeros(2)}, layout)
    assert {key: tuple(tensor.shape) for key, tensor in result.tensors.items()} == {'w': (2, 3), 'b': (2,)}


def test_stages_are_counted_on():
    layout = Layout('x', 'w', (Rename('s.{stage}.{rest}', 't.{stage}.{rest}', NEXT_STAGE),))
    assert list(rename({'s.0.w': torch.zeros(1), 's.9.w': torch.zeros(1)}, layout).tensors) == ['t.1.w', 't.10.w']


@pytest.mark.parametrize('keys,found', [(['mark', 'x'], True), (['mark', 'foreign'], False)])
def test_a_layout_is_not_found_with_the_key_it_is_without(keys, found):
    layout = Layout('theirs', 'mark', (), without='foreign')
    assert (Family('f', (layout,)).find_layout(keys) is layout) == found
