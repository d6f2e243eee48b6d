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


def check(model, state):
    runner = SimpleNamespace(model=model, _load_from='a.pth', logger=Logger())
    StrictLoadHook().after_load_checkpoint(runner, state)
    return runner.logger.said


def test_equal_models_pass_and_are_counted():
    model = nn.Linear(2, 3)
    assert check(model, {'state_dict': nn.Linear(2, 3).state_dict()}) == ['checkpoint: 2/2 tensors fit the model']
    assert check(model, {'state_dict': {f'module.{k}': v for k, v in model.state_dict().items()}})


@pytest.mark.parametrize(
    'state,message',
    [
        ({'weight': torch.zeros(3, 2)}, '1 tensors in the model only: bias'),
        ({'weight': torch.zeros(3, 2), 'bias': torch.zeros(3), 'x': torch.zeros(1)}, 'in the checkpoint only: x'),
        ({'weight': torch.zeros(4, 2), 'bias': torch.zeros(3)}, r'weight \(4, 2\) instead of \(3, 2\)'),
    ],
)
def test_anything_else_raises(state, message):
    with pytest.raises(InputError, match=f'a.pth is of another model .*{message}'):
        check(nn.Linear(2, 3), {'state_dict': state})
