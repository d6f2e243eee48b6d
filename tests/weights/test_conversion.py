"""Every arch of every family, in every layout, there and back, bit for bit; files are written in test_convert.py."""

import json
from pathlib import Path

import pytest
import timm
import torch

from mmseq.checkpoints import FAMILIES
from mmseq.checkpoints.rules import EXACT, place_blocks, rename, restore, same_bits
from mmseq.checkpoints.vision_lstm import OFFSET
from mmseq.errors import InputError
from mmseq.weights.conversion import convert
from tests.weights.lively import ARCHS, foreign_layouts, numbers, ours, published, source, table

CASES = [(family, arch, layout) for family, arch in ARCHS for layout in foreign_layouts(family, arch)]


def same(a, b):
    assert a.keys() == b.keys()
    assert [key for key in a if not same_bits(a[key], b[key])] == []


def test_every_layout_is_among_the_cases():
    met = {(family, layout.name) for family, _, layout in CASES}
    assert met == {(family, layout.name) for family in FAMILIES for layout in FAMILIES[family].layouts[:-1]}
    assert len(CASES) == 13 * 2 + 4 + 10 + 9 * 2


@pytest.mark.parametrize('family,arch,layout', CASES, ids=lambda value: getattr(value, 'name', value))
def test_publishers_to_ours_and_back(family, arch, layout):
    tensors = published(family, arch, layout)
    there = convert(source(family, layout, tensors), table(family), keep_head=True)
    assert there.arch == arch
    assert (there.dropped, there.resized, there.absent, there.inexact) == ({}, {}, [], {})
    to = layout.name.split()[0]
    back = convert(source(family, FAMILIES[family].ours, there.tensors), table(family), to)
    assert back.layout is layout
    same(back.tensors, tensors)


@pytest.mark.parametrize('family,arch,layout', CASES, ids=lambda value: getattr(value, 'name', value))
def test_ours_to_publishers_and_back(family, arch, layout):
    tensors = ours(family, arch)
    to = layout.name.split()[0]
    there = convert(source(family, FAMILIES[family].ours, tensors), table(family), to)
    back = convert(source(family, layout, there.tensors), table(family))
    rounded = {key for key in tensors if key in there.inexact}
    plain = {key: tensor for key, tensor in back.tensors.items() if not key.startswith(EXACT)}
    same({k: t for k, t in plain.items() if k not in rounded}, {k: t for k, t in tensors.items() if k not in rounded})
    # The account of what is not exact is right to the last bit.
    for key in rounded:
        assert there.inexact[key] == (plain[key].double() - tensors[key].double()).abs().max() > 0
    assert bool(rounded) == (family == 'vision_lstm')


RECORDED = Path(__file__).parents[1] / 'backbones' / 'recorded'


@pytest.mark.parametrize('path', sorted(RECORDED.glob('*.json')), ids=lambda path: path.stem)
def test_names_are_those_of_the_authors_code(path):
    """The way back alone could be wrong together with the way there: here are names that neither has made."""
    shapes = json.loads(path.read_text())['shapes']
    theirs = {name: torch.zeros(shape) for name, shape in shapes.items()}
    family = FAMILIES[next(name for name in FAMILIES if path.stem.startswith(name))]
    layout = family.find_layout(theirs)
    renamed = rename(theirs, layout)
    assert renamed.unexplained == []
    if family.name == 'vision_lstm':
        pairs = 1 + max(int(key.split('.')[1]) for key in renamed.tensors if key.startswith('blocks.'))
        place_blocks(renamed, (1, pairs - 1))
    back = restore({**renamed.tensors, **renamed.kept}, layout)
    assert back.unexplained == []
    assert {key: list(tensor.shape) for key, tensor in back.tensors.items()} == shapes


@pytest.mark.parametrize('arch', ['s', 'm', 'l'])
def test_names_are_those_of_timms_models(arch):
    with torch.device('meta'):
        theirs = timm.create_model(f'sequencer2d_{arch}').state_dict()
    assert published('sequencer2d', arch, FAMILIES['sequencer2d'].layouts[1]).keys() == theirs.keys()


def test_what_joins_two_stages_is_the_last_item_of_the_earlier_with_the_authors():
    keys = published('sequencer2d', 's', FAMILIES['sequencer2d'].layouts[0])
    assert sorted(key for key in keys if 'down.weight' in key) == [
        'blocks.0.4.down.weight',
        'blocks.1.3.down.weight',
        'blocks.2.8.down.weight',
    ]


def test_norms_from_a_half_to_two_come_back_exactly():
    weight = numbers(1 << 20).abs() % 1.5 + 0.5
    assert weight.min() >= 0.5
    assert weight.max() <= 2
    assert same_bits(OFFSET.there(OFFSET.back(weight)), weight)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_number_types_come_back_as_they_were(dtype):
    layout = FAMILIES['vision_lstm'].layouts[0]
    tensors = {key: tensor.to(dtype) for key, tensor in published('vision_lstm', 'nano', layout).items()}
    there = convert(source('vision_lstm', layout, tensors), table('vision_lstm'), keep_head=True)
    back = convert(source('vision_lstm', FAMILIES['vision_lstm'].ours, there.tensors), table('vision_lstm'), 'hub')
    same(back.tensors, tensors)


def test_kept_bits_of_other_weights_are_not_believed():
    layout = FAMILIES['vision_lstm'].layouts[0]
    tensors = published('vision_lstm', 'nano', layout)
    there = convert(source('vision_lstm', layout, tensors), table('vision_lstm'))
    key = next(key for key in there.tensors if key.startswith(EXACT))
    # As if the weights had been trained on.
    there.tensors[key[len(EXACT) :]] = there.tensors[key[len(EXACT) :]] * 1.5
    with pytest.raises(InputError, match=rf'no place for 1 tensors: {key} \(not what .* was made from\)'):
        convert(source('vision_lstm', FAMILIES['vision_lstm'].ours, there.tensors), table('vision_lstm'), 'hub')


def test_only_tensors_that_rounding_changes_are_kept_twice():
    layout = FAMILIES['vision_lstm'].layouts[0]
    tensors = published('vision_lstm', 'nano', layout)
    renamed = rename(tensors, layout)
    assert renamed.exact
    gentle = {key: (tensor * 0 + 0.25 if 'norm.weight' in key else tensor) for key, tensor in tensors.items()}
    assert rename(gentle, layout).exact == {}


def test_norms_of_earlier_levels_stay_behind():
    family = FAMILIES['sequencer2d']
    tensors = ours('sequencer2d', 'nano') | {'norms.1.weight': torch.ones(64), 'norms.1.bias': torch.ones(64)}
    done = convert(source('sequencer2d', family.ours, tensors), table('sequencer2d'), 'timm')
    assert set(done.dropped) == {'norms.1.weight', 'norms.1.bias'}
    assert 'which the timm layout has no place for' in '\n'.join(done.lines())
