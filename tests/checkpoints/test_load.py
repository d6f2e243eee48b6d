"""Strict loading: everything is explained, or it raises and nothing changed."""

import pytest
import timm
import torch
from mmengine.model import PretrainedInit
from safetensors.torch import save_file

from mmseq.backbones import Sequencer2D
from mmseq.checkpoints import load_backbone, pretrained
from mmseq.checkpoints.compare import holds
from mmseq.checkpoints.wrappers import unwrap
from mmseq.errors import InputError


@pytest.fixture
def model():
    return Sequencer2D('nano')


@pytest.fixture
def state():
    return Sequencer2D('nano').state_dict()


def as_timm(state):
    """Our names as timm writes them, with a classifier."""
    out = {'head.fc.weight': torch.zeros(10, 128), 'head.fc.bias': torch.zeros(10)}
    for key, tensor in state.items():
        key = key.replace('stem.', 'stem.proj.').replace('.downsample.', '.downsample.down.')
        if not key.startswith('norms') or key.startswith('norms.3'):
            out[key.replace('norms.3.', 'norm.')] = tensor
    return out


def test_report_counts_every_tensor(model, state, tmp_path):
    torch.save(as_timm(state), tmp_path / 'a.pth')
    report = load_backbone(model, tmp_path / 'a.pth')
    assert report.layout == 'timm'
    assert report.loaded == len(state) - 6
    assert str(report).startswith(f'{len(state) - 6}/{len(state) - 6} tensors from a.pth (timm layout)')
    assert '2 dropped on purpose (classifier)' in str(report)
    assert len(report.fresh) == 6
    for key, tensor in state.items():
        if not key.startswith('norms') or key.startswith('norms.3'):
            assert torch.equal(model.state_dict()[key], tensor), key


@pytest.mark.parametrize('wrap', [lambda s: {'model': s}, lambda s: {'state_dict': s, 'meta': {'epoch': 3}}])
@pytest.mark.parametrize('prefix', ['', 'module.', '_orig_mod.', 'backbone.', 'module.backbone.'])
def test_wrappers_and_prefixes(model, state, tmp_path, wrap, prefix):
    torch.save(wrap({prefix + key: tensor for key, tensor in as_timm(state).items()}), tmp_path / 'a.pth')
    assert load_backbone(model, tmp_path / 'a.pth').loaded == len(state) - 6


def test_safetensors(model, state, tmp_path):
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, tmp_path / 'a.safetensors')
    report = load_backbone(model, tmp_path / 'a.safetensors')
    assert (report.loaded, report.layout, report.fresh) == (len(state), 'mmseq', [])


def test_backbone_of_a_whole_model_is_taken_and_said(model, state, tmp_path):
    whole = {f'backbone.{key}': tensor for key, tensor in state.items()} | {'decode_head.conv.weight': torch.zeros(1)}
    torch.save({'state_dict': whole}, tmp_path / 'a.pth')
    assert '1 tensors of its other parts left out' in str(load_backbone(model, tmp_path / 'a.pth'))


def test_unbuilt_stages_are_dropped_on_purpose(state, tmp_path):
    torch.save(as_timm(state), tmp_path / 'a.pth')
    report = load_backbone(Sequencer2D('nano', out_indices=(0, 1), out_norm=False), tmp_path / 'a.pth')
    assert 'stage after the last of out_indices' in str(report)
    assert 'norm of a level that is not returned' in str(report)
    assert all(not key.startswith('stages.1') for key in report.dropped)


def removed(state):
    del state['stages.2.blocks.1.norm1.weight']


def added(state):
    state['stages.2.blocks.1.gamma'] = torch.ones(96)


def reshaped(state):
    state['stages.0.blocks.0.mlp_channels.fc1.weight'] = torch.ones(96, 31)


def spoiled(state):
    state['stem.proj.bias'] = torch.full((32,), float('nan'))


def unnormed(state):
    del state['norm.weight']


@pytest.mark.parametrize(
    'change,message',
    [
        (removed, r'1 tensors in the model only: stages\.2\.blocks\.1\.norm1\.weight'),
        (added, r'1 tensors in the file only: stages\.2\.blocks\.1\.gamma'),
        (reshaped, r'1 tensors of another shape: .*fc1\.weight \(96, 31\) instead of \(96, 32\)'),
        (spoiled, r'1 tensors not finite: stem\.bias'),
        (unnormed, r'1 tensors in the model only: norms\.3\.weight'),
    ],
)
def test_anything_unexplained_raises_and_loads_nothing(model, state, tmp_path, change, message):
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    source = as_timm(state)
    change(source)
    torch.save(source, tmp_path / 'a.pth')
    with pytest.raises(InputError, match=message):
        load_backbone(model, tmp_path / 'a.pth')
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    'name,looks',
    [('resnet18', 'ResNet'), ('convnext_atto', 'ConvNeXt'), ('vit_tiny_patch16_224', 'a vision transformer')],
)
def test_foreign_files_are_named(model, tmp_path, name, looks):
    torch.save(timm.create_model(name).state_dict(), tmp_path / 'a.pth')
    with pytest.raises(InputError, match=f'is no sequencer2d: it looks like {looks}'):
        load_backbone(model, tmp_path / 'a.pth')


@pytest.mark.parametrize('payload', [[1, 2], {}, {'epoch': 3}, {'state_dict': {'a': 'text'}}])
def test_files_without_a_state_dict(payload, tmp_path):
    with pytest.raises(InputError, match='instead of tensors|no state dict'):
        unwrap(payload, tmp_path)


def test_a_prefix_takes_one_of_two_networks(state, tmp_path):
    other = {key: tensor + 1 for key, tensor in state.items()}
    both = {f'backbone.{key}': tensor for key, tensor in other.items()}
    both |= {f'teacher.backbone.{key}': tensor for key, tensor in state.items()}
    torch.save({'state_dict': both}, tmp_path / 'a.pth')
    for prefix in ('teacher', 'teacher.', 'teacher.backbone'):
        init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'), prefix=prefix)
        model = Sequencer2D('nano', init_cfg=[init_cfg])
        model.init_weights()
        assert torch.equal(model.state_dict()['stem.weight'], state['stem.weight'])
    with pytest.raises(InputError, match=r"nothing under prefix='student\.'; its names begin with backbone, teacher"):
        load_backbone(model, tmp_path / 'a.pth', 'student')


@pytest.mark.parametrize(
    'init_cfg',
    [
        dict(type='Pretrained', checkpoint='a.pth', map_location='cpu'),
        dict(type='Pretrained'),
        dict(type='Pretrained', checkpoint=3),
        dict(type='Kaiming', layer='Conv2d'),
        [dict(type='Kaiming', layer='Conv2d'), dict(type='Pretrained', checkpoint='a.pth')],
        [dict(type='Pretrained', checkpoint='a.pth')] * 2,
        ['a.pth'],
        'a.pth',
    ],
    ids=str,
)
def test_what_would_be_dropped_is_refused(init_cfg):
    with pytest.raises(InputError, match='init_cfg=.*expected dict'):
        Sequencer2D('nano', init_cfg=init_cfg).init_weights()


def test_nothing_to_load():
    assert pretrained(None) is pretrained([]) is pretrained({}) is None
    assert pretrained([dict(type=PretrainedInit, checkpoint='a.pth')]) == ('a.pth', None)


def test_casts_are_said_and_checked(model, state, tmp_path):
    wide = {key: tensor.double() for key, tensor in state.items()}
    torch.save(wide, tmp_path / 'a.pth')
    assert f'{len(state)} tensors cast from float64 to float32' in str(load_backbone(model, tmp_path / 'a.pth'))
    wide['stem.bias'][0] = 1e39
    torch.save(wide, tmp_path / 'a.pth')
    before = model.state_dict()['stem.bias'].clone()
    with pytest.raises(InputError, match=r"1 tensors beyond the model's type of number: stem\.bias"):
        load_backbone(model, tmp_path / 'a.pth')
    assert torch.equal(model.state_dict()['stem.bias'], before)


@pytest.mark.parametrize(
    'dtype,number,own,fits',
    [
        (torch.float64, 3.4e38, torch.float32, True),
        (torch.float64, -3.5e38, torch.float32, False),
        (torch.float32, 65504.0, torch.float16, True),
        (torch.float32, 70000.0, torch.float16, False),
        (torch.bfloat16, 1e30, torch.float64, True),
        (torch.int64, 2**31, torch.int32, False),
        (torch.int64, 5, torch.bool, False),
        (torch.bool, True, torch.int64, True),
        (torch.int64, -1, torch.uint8, False),
    ],
)
def test_what_a_type_of_number_holds(dtype, number, own, fits):
    assert holds(own, torch.tensor([0, number], dtype=dtype)) == fits
