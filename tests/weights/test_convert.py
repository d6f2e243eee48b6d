"""Files converted to files, and what the converter says and refuses."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file as plain_load

from mmseq.backbones import Sequencer2D, VisionLSTM
from mmseq.checkpoints import FAMILIES, load_backbone
from mmseq.checkpoints.digest import file_sha256
from mmseq.checkpoints.rules import same_bits
from mmseq.errors import InputError
from mmseq.weights.conversion import convert
from mmseq.weights.convert import convert_file
from mmseq.weights.fit import ArchTable, Geometry
from tests.weights.lively import ours, published, source, table

AUTHORS, TIMM = FAMILIES['sequencer2d'].layouts[:2]


def saved(tensors, path, wrap=None):
    """A file as its publisher writes it."""
    cloned = {key: tensor.clone() for key, tensor in tensors.items()}
    torch.save({wrap: cloned} if wrap else cloned, path)
    return path


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('suffixes', ['.safetensors .pth', '.pth .safetensors'])
def test_files_there_and_back_bit_for_bit(family, suffixes, tmp_path):
    layout = FAMILIES[family].layouts[0]
    tensors = published(family, 'nano', layout)
    theirs = saved(tensors, tmp_path / 'theirs.pth', layout.wrapper)
    there, back = (tmp_path / f'{name}{suffix}' for name, suffix in zip(('there', 'back'), suffixes.split()))
    said = convert_file(theirs, there, keep_head=True)
    convert_file(there, back, to=layout.name.split()[0])
    payload = plain_load(back) if back.suffix == '.safetensors' else torch.load(back)[layout.wrapper]
    assert payload.keys() == tensors.keys()
    assert all(same_bits(payload[key], tensors[key]) for key in tensors)
    assert f"{family}, arch nano, {layout.name} layout; under '{layout.wrapper}'" in said[1]
    count = len(ours(family, 'nano'))
    assert said[2] == f'loaded     {count}/{count} tensors'
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(['theirs.pth', there.name, back.name])


def test_a_converted_file_loads_and_says_what_it_is(tmp_path):
    layout = FAMILIES['vision_lstm'].layouts[0]
    tensors = {key: tensor.nan_to_num() for key, tensor in published('vision_lstm', 'nano', layout).items()}
    theirs = saved(tensors, tmp_path / 'theirs.th')
    convert_file(theirs, tmp_path / 'ours.safetensors', keep_head=True)
    direct, converted = VisionLSTM('nano'), VisionLSTM('nano')
    first, second = load_backbone(direct, theirs), load_backbone(converted, tmp_path / 'ours.safetensors')
    assert first.loaded == second.loaded
    assert set(second.dropped.values()) == {'classifier', "the source's last bits, for converting back"}
    for (key, a), b in zip(direct.state_dict().items(), converted.state_dict().values()):
        assert torch.equal(a, b) or key in first.fresh
    with safe_open(tmp_path / 'ours.safetensors', 'pt') as file:
        said = file.metadata()
    assert said['source_sha256'] == file_sha256(theirs)
    expected = {'source': 'theirs.th', 'source_layout': 'hub version 2', 'layout': 'mmseq', 'arch': 'nano'}
    assert {key: said[key] for key in expected} == expected
    assert set(said) - set(expected) == {'format', 'family', 'mmseq', 'date', 'tensors_sha256', 'source_sha256'}


def test_the_backbone_of_a_detector_goes_to_timm(tmp_path):
    whole = {f'backbone.{key}': tensor for key, tensor in Sequencer2D('nano').state_dict().items()}
    whole |= {'rpn_head.conv.weight': torch.ones(1)}
    lines = convert_file(saved(whole, tmp_path / 'a.pth', 'state_dict'), tmp_path / 'b.pth', to='timm')
    assert 'backbone of a whole model, 1 tensors of its other parts left out' in lines[1]
    assert '6 norm of a level, which the timm layout has no place for' in lines[5]
    assert set(torch.load(tmp_path / 'b.pth')['state_dict']) == set(published('sequencer2d', 'nano', TIMM)) - {
        'head.fc.weight',
        'head.fc.bias',
    }


def test_a_backbone_that_was_not_built_to_the_end(tmp_path):
    state = Sequencer2D('nano', out_indices=(0, 1), out_norm=False).state_dict()
    lines = convert_file(saved(state, tmp_path / 'a.pth'), tmp_path / 'b.pth')
    assert 'absent     stage 2, stage 3, the final norm, which the source does not hold' in lines
    with pytest.raises(InputError, match=r'lacks \d+ tensors that the timm layout needs: stages\.2'):
        convert_file(tmp_path / 'b.pth', tmp_path / 'c.pth', to='timm')
    assert not (tmp_path / 'c.pth').exists()


@pytest.mark.parametrize('gone', ['stages.1', 'stages.0', 'norms.3.bias', 'norms.1.weight', 'stem.bias'])
def test_holes_are_no_smaller_models(gone, tmp_path):
    state = {key: value for key, value in Sequencer2D('nano').state_dict().items() if not key.startswith(gone)}
    with pytest.raises(InputError, match='fits no arch of sequencer2d; nearest is nano: .*in the model only: ' + gone):
        convert_file(saved(state, tmp_path / 'a.pth'), tmp_path / 'b.pth')


def test_geometry_on_the_way(tmp_path):
    done = convert(
        source('sequencer2d', TIMM, published('sequencer2d', 'nano', TIMM)),
        table('sequencer2d'),
        geometry=Geometry(in_channels=4, patch_size=8),
    )
    assert done.tensors['stem.weight'].shape == (32, 4, 8, 8)
    assert done.resized == {
        'stem.proj.weight': 'resized from patches of 4 px to 8 px, inflated from 3 to 4 input channels'
    }
    again = source('sequencer2d', FAMILIES['sequencer2d'].ours, done.tensors)
    assert convert(again, table('sequencer2d'), geometry=done.geometry).resized == {}
    with pytest.raises(InputError, match=r'stem\.weight \(32, 4, 8, 8\) instead of .*--in-channels and --patch-size'):
        convert(again, table('sequencer2d'))
    with pytest.raises(InputError, match='--grid: sequencer2d nano has no position embedding'):
        convert(again, table('sequencer2d'), geometry=Geometry(4, 8, (7, 7)))


def test_a_square_grid_is_kept_and_another_is_made_on_request():
    family = FAMILIES['vision_lstm']
    tensors = published('vision_lstm', 'nano', family.layouts[0])
    tensors['pos_embed.embed'] = torch.randn(1, 27, 27, 64)
    kept = convert(source('vision_lstm', family.layouts[0], tensors), table('vision_lstm'))
    assert kept.resized == {}
    assert kept.tensors['stem.pos_embed.weight'] is tensors['pos_embed.embed']
    made = convert(
        source('vision_lstm', family.layouts[0], tensors), table('vision_lstm'), geometry=Geometry(grid=(14, 20))
    )
    assert made.resized == {'pos_embed.embed': 'resized from a grid of 27 x 27 to 14 x 20'}
    tensors['pos_embed.embed'] = torch.randn(1, 9, 81, 64)
    with pytest.raises(InputError, match=r'pos_embed\.weight \(1, 9, 81, 64\) instead of'):
        convert(source('vision_lstm', family.layouts[0], tensors), table('vision_lstm'))


def test_choosing_among_archs():
    file = source('sequencer2d', FAMILIES['sequencer2d'].ours, ours('sequencer2d', 'nano'))
    own = table('sequencer2d').tensors['nano']
    twins = ArchTable({'one': own, 'two': own}, 'stem.weight')
    with pytest.raises(InputError, match='fits several archs of sequencer2d: one, two; choose one with --arch'):
        convert(file, twins)
    assert convert(file, twins, arch='two').arch == 'two'
    with pytest.raises(InputError, match='--arch three: sequencer2d has no such arch; choose one of one, two'):
        convert(file, twins, arch='three')
    with pytest.raises(InputError, match='fits no arch of sequencer2d; nearest is s: '):
        convert(file, table('sequencer2d'), arch='s')
    with pytest.raises(InputError, match='--to hub: sequencer2d has no such layout; choose one of authors, timm'):
        convert(file, twins, to='hub')


def test_an_arch_of_ones_own():
    model = Sequencer2D(dict(depths=(1, 1), dims=(8, 8), hidden=(2, 2), patches=(4, 2)), out_indices=(0, 1))
    file = source('sequencer2d', FAMILIES['sequencer2d'].ours, model.state_dict())
    with pytest.raises(InputError, match='fits no arch'):
        convert(file, table('sequencer2d'))
    assert convert(file, table('sequencer2d'), arch='custom').tensors.keys() == model.state_dict().keys()
    file.tensors['stem.weight'] = torch.ones(3)
    with pytest.raises(InputError, match=r'holds no convolution stem\.weight'):
        convert(file, table('sequencer2d'), arch='custom')
    foreign = source('sequencer2d', TIMM, published('sequencer2d', 'nano', TIMM))
    with pytest.raises(InputError, match='--arch custom: only for files of our own layout; this one has timm'):
        convert(foreign, table('sequencer2d'), arch='custom')


@pytest.mark.parametrize('key', ['blocks.0.00.norm1.weight', 'blocks.\u0660.0.norm1.weight', 'blocks.0.0' + '0' * 5000])
def test_numbers_are_written_in_one_way(key):
    tensors = published('sequencer2d', 'nano', AUTHORS)
    tensors[key] = tensors['blocks.0.0.norm1.weight']
    with pytest.raises(InputError, match='tensors in the file only'):
        convert(source('sequencer2d', AUTHORS, tensors), table('sequencer2d'))


def test_failed_verification_leaves_what_was_there(tmp_path, monkeypatch):
    file = saved(published('sequencer2d', 'nano', TIMM), tmp_path / 'a.pth')
    (tmp_path / 'b.pth').write_text('older')

    def never(done, written, archs):
        assert torch.load(written)['state_dict'].keys() == done.tensors.keys()
        raise InputError('not the same')

    monkeypatch.setattr('mmseq.weights.convert.verify', never)
    with pytest.raises(InputError, match='not the same'):
        convert_file(file, tmp_path / 'b.pth', check=True)
    assert {path.name for path in tmp_path.iterdir()} == {'a.pth', 'b.pth'}
    assert (tmp_path / 'b.pth').read_text() == 'older'


@pytest.mark.parametrize('value', [float('nan'), float('-inf')])
def test_weights_that_are_no_numbers_are_refused(value):
    for key in ('norm.bias', 'head.fc.bias'):
        tensors = published('sequencer2d', 'nano', TIMM)
        tensors[key] = torch.full_like(tensors[key], value)
        with pytest.raises(InputError, match='1 tensors not finite: (norms.3|head).bias'):
            convert(source('sequencer2d', TIMM, tensors), table('sequencer2d'))
