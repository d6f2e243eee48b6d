"""Position embeddings on grids of other sizes."""

import torch
from torch.nn import functional as F

from mmseq.layers import PositionEmbedding


def test_own_grid_is_added_as_it_is():
    embed = PositionEmbedding(5, (3, 4))
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(embed(x), x + embed.weight)


def test_other_grids_are_resized_and_the_parameter_is_not():
    embed = PositionEmbedding(5, (3, 4))
    # A map of as many cells, but of another shape: it must not pass for its own grid.
    for size in ((4, 3), (6, 8), (2, 2), (1, 9)):
        added = embed(torch.zeros(1, *size, 5)).permute(0, 3, 1, 2)
        expected = F.interpolate(embed.weight.permute(0, 3, 1, 2), size, mode='bicubic', align_corners=False)
        torch.testing.assert_close(added, expected)
    assert embed.weight.shape == (1, 3, 4, 5)


def test_gradient_reaches_the_whole_grid():
    embed = PositionEmbedding(2, (3, 4))
    embed(torch.zeros(1, 7, 9, 2)).square().sum().backward()
    assert embed.weight.grad.abs().min() > 0
