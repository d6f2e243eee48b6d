"""VSequencer against what the authors' code answered, and against its formula written down once more."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmseq.backbones import Sequencer2D, VSequencer
from mmseq.backbones.vsequencer import ARCHS, VSequencerBlock
from mmseq.checkpoints import load_backbone
from mmseq.errors import InputError
from tests.backbones.recordings import picture, recording

# With the classifier: counted on the authors' models.
PARAMS = {'s': 33_016_552, 'h': 27_645_544, 'pe': 33_114_856}
SMALL = {
    's': dict(depths=(2, 1, 1, 1), dims=(16,) * 4),
    'h': dict(depths=(2, 1, 1, 1), dims=(8, 16, 16, 16), patches=(7, 2, 1, 1)),
    'pe': dict(depths=(2, 1, 1, 1), dims=(16,) * 4, grid=(4, 6)),
}


def saved(state, folder):
    torch.save({'state_dict': state, 'epoch': 299}, folder / 'vsequencer.pth')
    return str(folder / 'vsequencer.pth')


@pytest.mark.parametrize('arch', SMALL)
def test_equals_the_authors_code(arch, tmp_path):
    state, answers = recording(f'vsequencer_{arch}')
    model = VSequencer(SMALL[arch], init_cfg=dict(type='Pretrained', checkpoint=saved(state, tmp_path)))
    model.init_weights()
    assert answers
    for size, expected in answers:
        with torch.no_grad():
            got = model.eval()(picture(size))[-1]
        assert got.shape == expected.shape
        assert (got - expected).norm() <= 1e-5 * expected.norm(), size


@pytest.mark.parametrize('arch', SMALL)
def test_every_tensor_of_the_authors_file_is_explained(arch, tmp_path):
    state, _ = recording(f'vsequencer_{arch}')
    report = load_backbone(VSequencer(SMALL[arch]), saved(state, tmp_path))
    assert report.layout == 'authors'
    assert report.loaded == len(state) - 2
    assert report.dropped == {'head.weight': 'classifier', 'head.bias': 'classifier'}


@pytest.mark.parametrize('arch', PARAMS)
def test_parameter_counts_are_the_authors(arch):
    with torch.device('meta'):
        model = VSequencer(arch, out_indices=(3,))
    assert sum(p.numel() for p in model.parameters()) + 385 * 1000 == PARAMS[arch]


@pytest.mark.parametrize('arch,strides', [('s', (14,) * 4), ('h', (7, 14, 14, 14)), ('pe', (14,) * 4)])
def test_native_strides(arch, strides):
    assert VSequencer(dict(vars(ARCHS[arch]), depths=(1, 1, 1, 1))).out_strides == strides


def test_block_is_the_formula():
    """Cell by cell, as a reader reads: rows from the left, from the top to the bottom, and back."""
    block = VSequencerBlock(8, 3.0, drop_path=0.3).double().eval()
    lstm = block.rnn_tokens.rnn
    x = torch.randn(2, 3, 5, 8, dtype=torch.float64)
    tokens = F.layer_norm(x, (8,), block.norm1.weight, block.norm1.bias, 1e-6)
    order = [(row, column) for row in range(3) for column in range(5)]
    mixed = torch.zeros(2, 3, 5, 8, dtype=torch.float64)
    for half, (suffix, path) in enumerate([('', order), ('_reverse', order[::-1])]):
        cell = nn.LSTMCell(8, 4).double()
        cell.load_state_dict({name: getattr(lstm, f'{name}_l0{suffix}') for name in cell.state_dict()})
        state = None
        for row, column in path:
            state = cell(tokens[:, row, column], state)
            mixed[:, row, column, 4 * half : 4 * half + 4] = state[0]
    expected = x + mixed
    expected = expected + block.mlp_channels(
        F.layer_norm(expected, (8,), block.norm2.weight, block.norm2.bias, 1e-6),
    )
    torch.testing.assert_close(block(x), expected)


def test_position_embedding_fits_any_image_and_keeps_its_size():
    model = VSequencer(SMALL['pe'])
    for size in ((56, 84), (84, 56), (33, 100)):
        assert all(level.isfinite().all() for level in model(torch.randn(1, 3, *size)))
    assert model.stem.pos_embed.weight.shape == (1, 4, 6, 16)


def test_file_with_another_grid_is_refused_and_loads_with_that_grid(tmp_path):
    """The grid is part of the architecture: a model built without the file, as for testing, must have it too."""
    state, _ = recording('vsequencer_pe')
    path = saved(state, tmp_path)
    with pytest.raises(InputError, match=r'pos_embed\.weight \(1, 4, 6, 16\) instead of \(1, 4, 4, 16\)'):
        load_backbone(VSequencer(dict(SMALL['pe'], grid=(4, 4))), path)
    with pytest.raises(InputError, match=r'in the file only: stem\.pos_embed\.weight'):
        load_backbone(VSequencer(SMALL['s']), path)
    with pytest.raises(InputError, match=r'in the model only: stem\.pos_embed\.weight'):
        load_backbone(VSequencer(SMALL['pe']), saved(recording('vsequencer_s')[0], tmp_path))


def test_the_two_sequencers_are_told_apart(tmp_path):
    theirs = saved(recording('vsequencer_s')[0], tmp_path)
    with pytest.raises(InputError, match=r"is no sequencer2d: it looks like vsequencer's \(authors layout\)"):
        load_backbone(Sequencer2D('nano'), theirs)
    ours = saved(VSequencer('nano').state_dict(), tmp_path)
    with pytest.raises(InputError, match=r"is no sequencer2d: it looks like vsequencer's \(mmseq layout\)"):
        load_backbone(Sequencer2D('nano'), ours)
    other = saved(Sequencer2D('nano').state_dict(), tmp_path)
    with pytest.raises(InputError, match=r"is no vsequencer: it looks like sequencer2d's \(mmseq layout\)"):
        load_backbone(VSequencer('nano'), other)
