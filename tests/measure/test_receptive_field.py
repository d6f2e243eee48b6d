"""Effective receptive fields against ones that are known."""

from dataclasses import asdict

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from mmseq.backbones import Sequencer2D, ShiftViT, VisionLSTM
from mmseq.backbones.sequencer2d import ARCHS
from mmseq.measure.receptive_field import (
    area,
    cell_at,
    effective_receptive_field,
    effective_receptive_fields,
    profiles,
)
from mmseq.model.build import build_here


class Levels(nn.Module):
    """A backbone of these layers, with a map after each."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return tuple(maps)


def test_convolutions_see_their_kernels():
    model = Levels(nn.Conv2d(3, 1, 3, padding=1, bias=False), nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False))
    images = torch.randn(2, 3, 17, 20)
    first, second = (effective_receptive_field(model, images, level, (4, 5)) for level in (0, 1))
    kernel = model.layers[0].weight[0].detach().abs().sum(0)
    assert torch.allclose(first[3:6, 4:7] / first.sum(), kernel / kernel.sum(), atol=1e-6)
    assert int((first > 0).sum()) == 9
    # Cell (4, 5) of stride 2 reads rows 7 to 9 of the first map, and so rows 6 to 10 of the image.
    seen = second.nonzero()
    assert seen.amin(0).tolist() == [6, 8]
    assert seen.amax(0).tolist() == [10, 12]


def test_many_linear_convolutions_approach_a_gaussian():
    """Luo et al., section 2.2: n layers with a kernel of ones give the coefficients of (1 + z + z^2)^n."""
    layers = [nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(8)]
    for layer in layers:
        nn.init.ones_(layer.weight)
    field = effective_receptive_field(Levels(*layers), torch.randn(1, 1, 41, 41), 7)
    side = torch.ones(1)
    for _ in range(8):
        side = nn.functional.conv1d(side[None, None], torch.ones(1, 1, 3), padding=2)[0, 0]
    expected = torch.outer(side, side)
    assert torch.allclose(field[12:29, 12:29] / field.sum(), expected / expected.sum(), atol=1e-7)
    assert torch.allclose(field, field.mT)
    assert torch.allclose(field, field.flip(0))
    along = torch.arange(41) - 20.0
    marginal = profiles(field, (20, 20))['row']['marginal']
    assert float((marginal * along**2).sum()) == pytest.approx(8 * 2 / 3)


def test_a_norm_over_channels_does_not_hide_the_field():
    class Norm(nn.Module):
        def forward(self, x):
            return nn.functional.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)

    model = Levels(nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), Norm()))
    field = effective_receptive_field(model, torch.randn(2, 3, 9, 9), 0)
    assert int((field > 1e-3).sum()) == 9


@pytest.mark.parametrize('family', [Sequencer2D, ShiftViT, VisionLSTM])
def test_backbones_are_left_as_they_were(family):
    model = family('nano').train()
    model.stem.requires_grad_(False)
    modes = [module.training for module in model.modules()]
    learning = [parameter.requires_grad for parameter in model.parameters()]
    with torch.inference_mode():
        images = torch.randn(2, 3, 64, 96)
    fields = effective_receptive_fields(model, images, dict.fromkeys(range(4)))
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == learning
    assert all(parameter.grad is None for parameter in model.parameters())
    for level, field in fields.items():
        assert field.shape == (64, 96)
        assert field.isfinite().all()
        # The middle of the image is what the cell in the middle looks at first.
        rows, columns = (field.sum(axis).argmax() for axis in (1, 0))
        assert abs(int(rows) - 32) <= model.out_strides[level]
        assert abs(int(columns) - 48) <= model.out_strides[level]
    again = effective_receptive_field(model, images, 0)
    assert torch.equal(again, fields[0])


def test_images_one_by_one_give_their_mean():
    model = ShiftViT('nano')
    images = torch.randn(2, 3, 64, 64)
    both = effective_receptive_field(model, images, 2)
    assert not torch.allclose(both, effective_receptive_field(model, images[:1], 2))
    same = effective_receptive_field(model, images[:1].expand(3, -1, -1, -1), 2)
    assert area(same, 0.9).pixels == pytest.approx(area(both, 0.9).pixels, rel=0.5)


def test_a_block_of_scans_sees_a_cross():
    model = Sequencer2D('nano', out_indices=(0,))
    field = effective_receptive_field(model, torch.randn(1, 3, 64, 48), 0, (3, 7))
    # Patches of 4 px: the whole row and the whole column of patches, and nothing else.
    cross = torch.zeros(64, 48, dtype=torch.bool)
    cross[12:16] = cross[:, 28:32] = True
    assert torch.equal(field > 0, cross)


def test_recurrent_layers_of_torch_itself():
    model = Sequencer2D(asdict(ARCHS['nano']) | dict(cell='gru', union='add'), out_indices=(0,)).eval()
    assert area(effective_receptive_field(model, torch.randn(1, 3, 32, 32), 0), 1).pixels == 8 * 4 * 8 - 16
    assert not any(module.training for module in model.modules())


def test_behind_the_neck(configs):
    cfg = Config(configs['mask_rcnn_shiftvit_nano_shapes']._cfg_dict.to_dict())
    cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = build_here(cfg)
    images = torch.randn(1, 3, 64, 64)
    before, after = (effective_receptive_fields(model, images, {0: None, 3: None}, after_neck=neck) for neck in (0, 1))
    # FPN adds what the coarse levels know to the fine ones, which are convolved once more.
    assert area(after[0], 0.9).pixels > area(before[0], 0.9).pixels
    assert torch.allclose(before[0], effective_receptive_field(model.backbone, images, 0))
    assert effective_receptive_field(model, images, 4, after_neck=True).sum() > 0


def test_what_there_is_not():
    model, images = ShiftViT('nano'), torch.randn(1, 3, 64, 64)
    with pytest.raises(ValueError, match='level 4: the model has the levels 0 to 3'):
        effective_receptive_field(model, images, 4)
    with pytest.raises(ValueError, match=r'position \(2, 0\): the map of level 3 has 2 x 2 cells'):
        effective_receptive_field(model, images, 3, (2, 0))
    with pytest.raises(ValueError, match='ShiftViT has no neck'):
        effective_receptive_field(model, images, 0, after_neck=True)
    with pytest.raises(ValueError, match=r'expected \(B, C, H, W\)'):
        effective_receptive_field(model, images[0], 0)


def test_areas_of_known_fields():
    even = torch.ones(10, 20)
    assert (area(even, 0.5).pixels, area(even, 0.9).pixels, area(even, 1).pixels) == (100, 180, 200)
    assert area(even, 0.5).side == 10
    single = torch.zeros(5, 5)
    single[1, 3] = 2.0
    assert area(single, 0.9).pixels == area(single, 1).pixels == 1
    halves = torch.tensor([[4.0, 0.0], [1.0, 3.0]])
    assert [area(halves, share).pixels for share in (0.4, 0.5, 0.51, 0.875, 0.9)] == [1, 1, 2, 2, 3]
    with pytest.raises(ValueError, match='holds no gradient'):
        area(torch.zeros(3, 3), 0.5)
    with pytest.raises(ValueError, match='share 0'):
        area(even, 0)


def test_areas_grow_with_their_share():
    found = [area(torch.rand(50, 70) + 0.1, share / 20).pixels for share in range(1, 21)]
    assert found == sorted(found)
    assert found[-1] == 50 * 70


def test_profiles_are_shares():
    field = torch.arange(12.0).view(3, 4)
    found = profiles(field, (1, 2))
    assert torch.allclose(found['row']['through'] * 66, torch.tensor([4.0, 5, 6, 7]).double())
    assert torch.allclose(found['column']['through'] * 66, torch.tensor([2.0, 6, 10]).double())
    assert found['row']['marginal'].tolist() == pytest.approx([12 / 66, 15 / 66, 18 / 66, 21 / 66])
    assert float(found['column']['marginal'].sum()) == pytest.approx(1)


def test_the_cell_of_a_pixel():
    # Cell r of stride s speaks for ((r + 0.5) s): pixels r s to r s + s - 1.
    assert [cell_at((y, 0), 14, (4, 4))[0] for y in (0, 13, 14, 55, 56)] == [0, 0, 1, 3, 3]
    assert cell_at((31.5, 100), 4, (16, 20)) == (7, 19)
