"""Weights at another geometry, against calculations by hand and against what they are to keep."""

import pytest
import torch
from torch.nn import functional as F

from mmseq.backbones import Sequencer2D, VisionLSTM, VSequencer
from mmseq.checkpoints import load_backbone
from mmseq.checkpoints.resize import to_channels, to_grid, to_patch
from mmseq.errors import InputError


def test_channels_by_hand():
    kernel = torch.tensor([2.0, 3.0, 7.0]).reshape(1, 3, 1, 1)
    for channels, expected in {
        1: [12.0],
        2: [6.0, 6.0],
        # 2, 3, 7 and their mean 4, times 3 / 4.
        4: [1.5, 2.25, 5.25, 3.0],
        6: [1.0, 1.5, 3.5, 2.0, 2.0, 2.0],
    }.items():
        assert to_channels(kernel, channels).flatten().tolist() == pytest.approx(expected)


def test_patch_of_one_pixel_by_hand():
    """Four equal pixels that answer as the one: a quarter each. Back, the one sees what the four saw: their sum."""
    kernel = torch.full((1, 1, 1, 1), 8.0)
    assert to_patch(kernel, 2).flatten().tolist() == pytest.approx([2.0] * 4)
    assert to_patch(torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 2, 2), 1).item() == pytest.approx(10.0)


def test_patch_of_two_pixels_to_three_by_hand():
    """Resizing (a, b) to (a, (a + b) / 2, b) is B = [[1, 0], [1/2, 1/2], [0, 1]]; the kernel is B (B^T B)^-1 w."""
    u, v = torch.tensor([6.0, 12.0]), torch.tensor([1.0, -1.0])

    def by_hand(w):
        return torch.stack([(5 * w[0] - w[1]) / 6, (w[0] + w[1]) / 3, (5 * w[1] - w[0]) / 6])

    kernel = torch.outer(u, v).reshape(1, 1, 2, 2)
    torch.testing.assert_close(to_patch(kernel, 3)[0, 0], torch.outer(by_hand(u), by_hand(v)))


@pytest.mark.parametrize('old,new', [(7, 8), (7, 14), (4, 16), (14, 16)])
def test_larger_patches_are_answered_alike(old, new):
    kernel, patches = torch.randn(5, 3, old, old), torch.randn(11, 3, old, old)
    larger = F.interpolate(patches, (new, new), mode='bilinear', align_corners=False)
    expected, got = F.conv2d(patches, kernel), F.conv2d(larger, to_patch(kernel, new))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def cubic(t):
    """The cubic convolution kernel with a = -0.75."""
    t, a = abs(t), -0.75
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def bicubic_by_hand(grid, size):
    """(h, w) to (size, size), written out: half-pixel centres, borders repeated."""
    rows = []
    for i in range(size):
        y, row = (i + 0.5) * grid.shape[0] / size - 0.5, []
        for j in range(size):
            x, value = (j + 0.5) * grid.shape[1] / size - 0.5, 0.0
            for r in range(int(y // 1) - 1, int(y // 1) + 3):
                for c in range(int(x // 1) - 1, int(x // 1) + 3):
                    cell = grid[min(max(r, 0), grid.shape[0] - 1), min(max(c, 0), grid.shape[1] - 1)]
                    value += float(cell) * cubic(y - r) * cubic(x - c)
            row.append(value)
        rows.append(row)
    return torch.tensor(rows)


@pytest.mark.parametrize('old,new', [(3, 5), (5, 3), (4, 8)])
def test_grid_by_hand(old, new):
    embedding = torch.randn(1, old, old, 2)
    got = to_grid(embedding, (new, new))
    assert got.shape == (1, new, new, 2)
    for channel in range(2):
        torch.testing.assert_close(got[0, ..., channel], bicubic_by_hand(embedding[0, ..., channel], new))


def saved(model, folder):
    path = folder / 'weights.pth'
    torch.save(model.state_dict(), path)
    return path


def test_sequencer_at_strides_8_16_16_16():
    assert Sequencer2D('s', patch_size=8, out_indices=(0, 1, 2, 3)).out_strides == (8, 16, 16, 16)
    with pytest.raises(ValueError, match='patch_size=0: expected at least 1 px'):
        Sequencer2D('nano', patch_size=0)


def test_resized_stem_answers_resized_patches_alike(tmp_path):
    old = Sequencer2D('nano').eval()
    new = Sequencer2D('nano', patch_size=8).eval()
    report = load_backbone(new, saved(old, tmp_path))
    assert report.adapted == {'stem.weight': 'resized from patches of 4 px to 8 px'}
    images = torch.randn(1, 3, 64, 96)
    patches = images.unfold(2, 4, 4).unfold(3, 4, 4)
    larger = F.interpolate(patches.flatten(0, 3)[None], (8, 8), mode='bilinear', align_corners=False)
    larger = larger.reshape(1, 3, 16, 24, 8, 8).permute(0, 1, 2, 4, 3, 5).reshape(1, 3, 128, 192)
    with torch.no_grad():
        for a, b in zip(old(images), new(larger), strict=True):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-4)


def test_patch_and_channels_together(tmp_path):
    new = Sequencer2D('nano', 4, patch_size=6)
    report = load_backbone(new, saved(Sequencer2D('nano'), tmp_path))
    assert report.adapted == {
        'stem.weight': 'resized from patches of 4 px to 6 px, inflated from 3 to 4 input channels'
    }


def test_weights_that_have_the_wanted_patch_are_taken_as_they_are(tmp_path):
    old = Sequencer2D('nano', patch_size=8)
    new = Sequencer2D('nano', patch_size=8)
    assert load_backbone(new, saved(old, tmp_path)).adapted == {}
    assert torch.equal(old.stem.weight, new.stem.weight)


def test_nothing_is_resized_that_nobody_asked_for(tmp_path):
    path = saved(Sequencer2D('nano', patch_size=8), tmp_path)
    for model in (Sequencer2D('nano'), Sequencer2D('nano', patch_size=6)):
        with pytest.raises(InputError, match=r'stem\.weight \(32, 3, 8, 8\) instead of \(32, 3, [46], [46]\)'):
            load_backbone(model, path)


@pytest.mark.parametrize('cls,arch', [(VSequencer, dict(depths=(1,), dims=(8,), patches=(14,))), (VisionLSTM, None)])
def test_position_embeddings_take_the_grid_of_the_model(cls, arch, tmp_path):
    arch = arch or dict(dim=8, taps=(1,), patch=8)
    options = dict(out_indices=(0,))
    old = cls({**arch, 'grid': (5, 5)}, **options)
    new = cls({**arch, 'grid': (4, 6)}, **options)
    report = load_backbone(new, saved(old, tmp_path))
    assert report.adapted == {'stem.pos_embed.weight': 'resized from a grid of 5 x 5 to 4 x 6'}
    assert torch.equal(new.stem.pos_embed.weight, to_grid(old.stem.pos_embed.weight, (4, 6)))


def test_a_grid_that_is_no_square_is_not_resized(tmp_path):
    arch = dict(dim=8, taps=(1,), patch=8)
    path = saved(VisionLSTM({**arch, 'grid': (4, 49)}, out_indices=(0,)), tmp_path)
    with pytest.raises(InputError, match=r'pos_embed\.weight \(1, 4, 49, 8\) instead of \(1, 14, 14, 8\)'):
        load_backbone(VisionLSTM(arch, out_indices=(0,)), path)
