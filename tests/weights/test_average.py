"""Means of checkpoints, against a calculation by hand."""

import pytest
import torch

from mmseq.errors import InputError
from mmseq.weights.average import average


def saved(folder, *states):
    names = []
    for number, state in enumerate(states):
        names.append(folder / f'{number}.pth')
        torch.save({'state_dict': state, 'meta': {}}, names[-1])
    return names


def test_mean_by_hand(tmp_path):
    names = saved(
        tmp_path,
        {'w': torch.tensor([1.0, 2.0]), 'n': torch.tensor(5)},
        {'w': torch.tensor([2.0, 4.0]), 'n': torch.tensor(7)},
        {'w': torch.tensor([6.0, 0.0]), 'n': torch.tensor(9)},
    )
    mean, remarks = average(names)
    assert mean['w'].tolist() == [3.0, 2.0]
    assert mean['n'].item() == 5
    assert remarks == [f'1 tensors of whole numbers are those of {names[0]}: n']


def test_low_precision_is_summed_in_high(tmp_path):
    names = saved(tmp_path, *({'w': torch.full((1,), 40000.0, dtype=torch.float16)} for _ in range(4)))
    mean = average(names)[0]['w']
    assert mean.dtype == torch.float16
    assert mean.item() == torch.tensor(40000.0, dtype=torch.float16).item()


def test_what_belongs_to_one_file_is_left_out(tmp_path):
    one, two = {'w': torch.ones(1), 'exact.w': torch.ones(1)}, {'w': torch.zeros(1), 'exact.w': torch.ones(1)}
    assert list(average(saved(tmp_path, one, two))[0]) == ['w']


@pytest.mark.parametrize(
    'other,why',
    [
        ({'w': torch.ones(3)}, r'1 tensors of another shape: w \(3,\) instead of \(2,\)'),
        ({'w': torch.ones(2), 'x': torch.ones(1)}, '1 tensors in the file only: x'),
        ({'x': torch.ones(2)}, '1 tensors in the model only: w'),
        ({'w': torch.ones(2, dtype=torch.int32)}, '1 tensors of another kind of number: w'),
        ({'w': torch.tensor([1.0, float('nan')])}, '1 tensors not finite: w'),
    ],
)
def test_models_that_differ_are_refused(tmp_path, other, why):
    names = saved(tmp_path, {'w': torch.ones(2)}, other)
    with pytest.raises(InputError, match=f'1.pth: cannot be averaged with .*0.pth: .*{why}'):
        average(names)


def test_one_checkpoint_is_no_soup(tmp_path):
    with pytest.raises(InputError, match='two checkpoints or more'):
        average(saved(tmp_path, {'w': torch.ones(1)}))
