"""A checkpoint of another model stops the run before it is loaded."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmseq.engine.hooks import StrictLoadHook
from mmseq.errors import InputError


class Logger:
    def __init__(self):
        self.said = []

    def info(self, text, *args):
        self.said.append(text % args)


def check(model, state, *allow_partial):
    runner = SimpleNamespace(model=model, _load_from='a.pth', logger=Logger())
    StrictLoadHook(allow_partial).after_load_checkpoint(runner, state)
    return runner.logger.said


def test_equal_models_pass_and_are_counted():
    model = nn.Linear(2, 3)
    assert check(model, {'state_dict': nn.Linear(2, 3).state_dict()}) == ['checkpoint: 2/2 tensors fit the model']
    assert check(model, {'state_dict': {f'module.{k}': v for k, v in model.state_dict().items()}})


@pytest.mark.parametrize(
    'state,message',
    [
        ({'weight': torch.zeros(3, 2)}, '1 tensors in the model only: bias'),
        ({'weight': torch.zeros(3, 2), 'bias': torch.zeros(3), 'x': torch.zeros(1)}, 'in the file only: x'),
        ({'weight': torch.zeros(4, 2), 'bias': torch.zeros(3)}, r'weight \(4, 2\) instead of \(3, 2\)'),
    ],
)
def test_anything_else_raises(state, message):
    with pytest.raises(InputError, match=f'a.pth is of another model .*{message}'):
        check(nn.Linear(2, 3), {'state_dict': state})


def test_permitted_tensors_are_left_out_and_listed():
    model = nn.ModuleDict({'body': nn.Linear(2, 3), 'head': nn.Linear(3, 4)})
    state = nn.ModuleDict({'body': nn.Linear(2, 3), 'head': nn.Linear(3, 5)}).state_dict()
    state = {f'module.{key}': value for key, value in state.items()} | {'module.head.scale': torch.ones(1)}
    with pytest.raises(InputError, match=r'2 tensors of another shape: head.weight .*named with --allow-partial'):
        check(model, {'state_dict': state})
    said = check(model, {'state_dict': state}, 'head.*')
    assert said[0] == 'checkpoint: 2/4 tensors fit the model'
    assert said[1] == 'not loaded, as --allow-partial permits: head.weight, head.bias, head.scale'
    assert list(state) == ['module.body.weight', 'module.body.bias']


def test_permission_covers_only_what_it_names_and_is_for_something():
    state = {'weight': torch.zeros(4, 2), 'bias': torch.zeros(4)}
    with pytest.raises(InputError, match='1 tensors of another shape: bias'):
        check(nn.Linear(2, 3), {'state_dict': dict(state)}, 'wei*')
    with pytest.raises(InputError, match=r'--allow-partial head\.\*: every tensor that matches it fits'):
        check(nn.Linear(2, 4), {'state_dict': dict(state)}, 'head.*')


def test_infinite_weights_are_refused_whatever_is_permitted():
    state = {'weight': torch.full((3, 2), float('inf')), 'bias': torch.zeros(4)}
    with pytest.raises(InputError, match='1 tensors not finite: weight'):
        check(nn.Linear(2, 3), {'state_dict': state}, '*')
