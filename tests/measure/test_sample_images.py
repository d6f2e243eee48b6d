"""Images of one size, as a backbone takes them."""

import pytest
import torch
from mmengine.config import Config

from mmseq.errors import InputError
from mmseq.measure.sample_images import cover, dataset_config


def test_the_middle_is_cut_out_and_nothing_is_squeezed():
    # The value of a pixel is its place, in shares of the whole.
    y, x = torch.meshgrid((torch.arange(40) + 0.5) / 40, (torch.arange(90) + 0.5) / 90, indexing='ij')
    found = cover(torch.stack([y, x]), (80, 80))
    assert found.shape == (2, 80, 80)
    # All rows, and 40 of 90 columns from the 25th on.
    expected = (torch.arange(80) + 0.5) / 80
    assert torch.allclose(found[0, 2:-2, 5], expected[2:-2], atol=1e-3)
    assert torch.allclose(found[1, 5], (25 + 40 * expected) / 90, atol=1e-3)
    tall = cover(torch.stack([y, x]).mT, (20, 60))
    assert torch.allclose(tall[0, :, 3], cover(torch.stack([y, x]), (60, 20))[0, 3], atol=1e-3)


def test_the_data_set_within_others():
    inner = dict(type='A', pipeline=[dict(type='LoadImageFromFile')])
    repeated = dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=[inner, dict(type='B')]))
    assert dataset_config(Config(dict(test_dataloader=dict(dataset=repeated)))) == inner
    with pytest.raises(InputError, match='test_dataloader has no data set with a pipeline'):
        dataset_config(Config(dict(test_dataloader=dict(dataset=dict(type='A')))))
