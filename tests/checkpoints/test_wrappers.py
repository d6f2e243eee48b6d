"""From payloads to state dicts."""

import pytest
import torch

from mmseq.checkpoints.wrappers import state_dict, unwrap
from mmseq.errors import InputError

RAW, MEAN = {'stem.weight': torch.zeros(2)}, {'stem.weight': torch.ones(2)}


def value(result):
    return result[0]['stem.weight'].tolist()


def test_timm_and_deit_averages_are_taken_on_request():
    for payload in ({'state_dict': RAW, 'state_dict_ema': MEAN}, {'model': RAW, 'model_ema': MEAN}):
        assert value(unwrap(payload, 'a.pth', ema=True)) == [1, 1]
        tensors, note = unwrap(payload, 'a.pth')
        assert tensors['stem.weight'].tolist() == [0, 0]
        assert 'their moving average is there too' in note


def test_mmengine_saves_the_average_in_place_of_the_weights():
    payload = {'state_dict': MEAN, 'ema_state_dict': {'steps': torch.tensor(3), 'module.stem.weight': torch.zeros(2)}}
    assert value(unwrap(payload, 'a.pth', ema=True)) == [1, 1]
    tensors, note = unwrap(payload, 'a.pth')
    assert tensors['stem.weight'].tolist() == [1, 1]
    assert 'moving average, which mmengine saves in place of the trained weights' in note


def test_mmengine_does_swap_them(tmp_path):
    """The fact that the choice above rests on, from mmengine's own hook."""
    from types import SimpleNamespace

    from mmengine.hooks import EMAHook
    from torch import nn

    hook, model = EMAHook(momentum=0.5), nn.Linear(2, 2, bias=False)
    hook.before_run(SimpleNamespace(model=model))
    with torch.no_grad():
        model.weight.fill_(8.0)
        hook.ema_model.module.weight.fill_(2.0)
    checkpoint = {'state_dict': model.state_dict()}
    hook.before_save_checkpoint(None, checkpoint)
    assert checkpoint['state_dict']['weight'].unique().tolist() == [2.0]
    assert checkpoint['ema_state_dict']['module.weight'].unique().tolist() == [8.0]


def test_no_average_where_one_is_asked_for():
    with pytest.raises(InputError, match='holds no moving average of the weights; its keys are state_dict, epoch'):
        unwrap({'state_dict': RAW, 'epoch': 3}, 'a.pth', ema=True)


@pytest.mark.parametrize('prefix', ['module.model.', '_orig_mod.module.', 'model.module._orig_mod.'])
def test_prefixes_in_any_order(prefix):
    assert value(unwrap({prefix + 'stem.weight': torch.ones(2)}, 'a.pth')) == [1, 1]


def test_a_whole_model_stays_whole_where_it_is_asked_for():
    whole = {'backbone.stem.weight': torch.ones(2), 'head.weight': torch.ones(3)}
    assert set(state_dict({'state_dict': whole}, 'a.pth')[0]) == set(whole)
    tensors, note = unwrap({'state_dict': whole}, 'a.pth')
    assert set(tensors) == {'stem.weight'}
    assert "under 'state_dict', backbone of a whole model, 1 tensors of its other parts left out" in note


@pytest.mark.parametrize(
    'odd',
    [
        torch.ones(2, 2).to_sparse(),
        torch.ones(2, device='meta'),
        torch.ones(2, dtype=torch.complex64),
        torch.ones(2).to(torch.float8_e4m3fn),
        torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    ],
    ids=['sparse', 'meta', 'complex', 'float8', 'quantized'],
)
def test_tensors_of_other_kinds_are_refused(odd):
    with pytest.raises(InputError, match='a.pth: stem.weight is no plain dense tensor of common numbers'):
        unwrap({'stem.weight': odd}, 'a.pth')


def test_a_tensor_that_claims_more_numbers_than_there_are():
    with pytest.raises(InputError, match='repeats the few numbers'):
        unwrap({'stem.weight': torch.ones(1).expand(100_000, 100_000)}, 'a.pth')
    assert unwrap({'stem.weight': torch.ones(1).expand(10)}, 'a.pth')[0]['stem.weight'].shape == (10,)
