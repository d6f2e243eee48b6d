"""Upstream's modules and whole models take weights that are theirs, and say what they took."""

import pytest
import torch
from torch import nn

from mmseq.checkpoints.whole import load_part, load_whole
from mmseq.errors import InputError


def layers(count: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(2, 2) for _ in range(count)))


def test_a_whole_model_takes_its_own_weights_alone():
    model, other = layers(4), layers(4)
    assert load_whole(model, {'state_dict': other.state_dict()}, 'a.pth') == '8/8 tensors from a.pth'
    assert torch.equal(model[3].bias, other[3].bias)
    for wrong in (layers(3), layers(5), nn.Sequential(*layers(3), nn.Linear(2, 3))):
        before = model[0].weight.clone()
        with pytest.raises(InputError, match='a.pth is of another model .*use the config'):
            load_whole(model, wrong.state_dict(), 'a.pth')
        assert torch.equal(model[0].weight, before)


def test_a_part_may_lack_little_and_leave_little():
    longer = load_part(layers(4), layers(5).state_dict(), 'a.pth')
    assert longer == '8/8 tensors from a.pth; 2 of the file not taken (4.weight, 4.bias)'
    shorter = load_part(layers(4), layers(3).state_dict(), 'a.pth')
    assert shorter == '6/8 tensors from a.pth; 2 new and left at their initial value (3.weight, 3.bias)'
    for wrong in (layers(2), layers(6), nn.Sequential(*layers(3), nn.Linear(2, 3)), nn.ModuleDict({'x': layers(4)})):
        with pytest.raises(InputError, match='does not fit this Sequential of 8 tensors .*nothing was loaded'):
            load_part(layers(4), wrong.state_dict(), 'a.pth')


def test_counts_of_batches_may_be_absent():
    model = nn.Sequential(*(nn.BatchNorm1d(2) for _ in range(3)))
    old = {key: value for key, value in model.state_dict().items() if 'num_batches' not in key}
    assert load_part(model, old, 'a.pth') == '12/15 tensors from a.pth'


def test_one_of_two_networks():
    teacher, student = layers(2), layers(2)
    both = {
        f'{name}.{key}': value
        for name, net in (('teacher', teacher), ('student', student))
        for key, value in net.state_dict().items()
    }
    model = layers(2)
    load_whole(model, both, 'a.pth', prefix='teacher')
    assert torch.equal(model[0].weight, teacher[0].weight)
    load_part(model, {f'module.{key}': value for key, value in both.items()}, 'a.pth', prefix='student.')
    assert torch.equal(model[0].weight, student[0].weight)
    with pytest.raises(InputError, match=r"nothing under prefix='ema\.'; its names begin with student, teacher"):
        load_whole(model, both, 'a.pth', prefix='ema')
