"""Vision-LSTM against what the authors' code answered, its published sizes, and what is its own."""

import re

import pytest
import torch
from torch.nn import functional as F

from mmseq.backbones import VisionLSTM
from mmseq.backbones.vision_lstm import ARCHS, DESIGNS, pairs_per_stage
from mmseq.checkpoints import load_backbone
from mmseq.errors import InputError
from tests.backbones.recordings import picture, recording

# Of the authors' models, without the classifier and what belongs to it.
PARAMS = {
    't': 6_005_760,
    's': 22_628_160,
    'v1_t': 5_895_360,
    'v1_t_plus': 7_084_840,
}
# The recorded models.
SMALL = {
    1: dict(dim=32, taps=(1, 3, 5, 8), version=1, patch=8),
    2: dict(dim=32, taps=(1, 3, 5, 7), version=2, patch=8),
}


def recorded(version):
    """The recording with the weights it was made with: those of ``recordings.weights``, calmed.

    Offsets of norms go around 0 and gates become a tenth. As they come, sums of weights of either sign pass so near to
    0 that the authors' own code in float32 is 6e-4 away from itself in float64.
    """
    state, answers = recording(f'vision_lstm_v{version}')
    offsets = [key for key in state if re.search(r'(block.*|outnorm|legacy_)norm\.weight', key)]
    offsets += ['norm.weight'] if version == 2 else []
    for key in offsets:
        # legacy_norm is torch's own in version 2, norm is in version 1.
        state[key] = state[key] - (1 if (version, key) != (2, 'legacy_norm.weight') else 0)
    for key in state:
        if re.search('[if]gate', key):
            state[key] = state[key] / 10
    return state, answers


def to_hub(state, version):
    """A model's names as the hub's files have them: the inverse of the renaming in the authors' hubconf.py."""
    out = {}
    outside = {
        'norm': 'xlstm.post_blocks_norm' if version == 2 else 'head.0',
        'legacy_norm': 'head.0' if version == 2 else 'xlstm.post_blocks_norm',
        'head': 'head.1',
    }
    for key, tensor in state.items():
        halves = {'rowwise_from_top_left': 0, 'rowwise_from_bot_right': 1}
        pair = re.fullmatch(r'blocks\.(\d+)\.(rowwise_\w+)\.(.+)', key)
        if pair:
            key = f'blocks.{2 * int(pair[1]) + halves[pair[2]]}.{pair[3]}'
        block = re.fullmatch(r'blocks\.(\d+)\.(.+)', key)
        if block:
            rest = re.sub(r'^norm\.', 'xlstm_norm.', block[2])
            rest = re.sub(r'^layer\.conv\.', 'layer.conv1d.', rest)
            key = f'xlstm.blocks.{block[1]}.' + re.sub(r'^layer\.', 'xlstm.', rest)
        elif key.split('.')[0] in outside:
            first, last = key.split('.')
            key = f'{outside[first]}.{last}'
        out[key] = tensor
    return out


def saved(state, folder):
    path = folder / 'vil.th'
    torch.save({'state_dict': state}, path)
    return dict(type='Pretrained', checkpoint=str(path))


@pytest.mark.parametrize('version', [1, 2])
@pytest.mark.parametrize('layout', ['hub', 'authors'])
def test_equals_the_authors_code(version, layout, tmp_path):
    state, answers = recorded(version)
    state = to_hub(state, version) if layout == 'hub' else state
    model = VisionLSTM(SMALL[version], init_cfg=saved(state, tmp_path))
    model.init_weights()
    model.eval().double()
    assert answers
    for size, expected in answers:
        with torch.no_grad():
            got = model(picture(size).double())[-1]
        assert got.shape == expected.shape
        # Recorded in float64, so that no machine's float32 decides; six digits were kept.
        assert (got - expected).norm() <= 1e-6 * expected.norm(), size


@pytest.mark.parametrize('version,classifier', [(1, 2), (2, 4)])
def test_every_tensor_of_a_hub_file_is_explained(version, classifier, tmp_path):
    state, _ = recorded(version)
    state = to_hub(state, version)
    model = VisionLSTM(SMALL[version])
    report = load_backbone(model, saved(state, tmp_path)['checkpoint'])
    assert report.layout == f'hub version {version}'
    assert set(report.dropped.values()) == {'classifier'}
    assert len(report.dropped) == classifier
    assert report.loaded == len(state) - classifier == len(model.state_dict()) - len(report.fresh)
    assert {key.split('.')[1] for key in report.fresh} == {'0', '1', '2'}


def test_norm_weights_come_as_distances_from_one(tmp_path):
    state, _ = recorded(2)
    model = VisionLSTM(SMALL[2], init_cfg=saved(state, tmp_path))
    model.init_weights()
    own = model.state_dict()
    for theirs, ours in {
        'blocks.1.rowwise_from_bot_right.norm.weight': 'stages.1.blocks.0.1.norm.weight',
        'blocks.1.rowwise_from_bot_right.layer.mlstm_cell.outnorm.weight': (
            'stages.1.blocks.0.1.layer.scans.0.cell.norm.weight'
        ),
        'norm.weight': 'norms.3.weight',
    }.items():
        assert torch.equal(own[ours], 1 + state[theirs])


@pytest.mark.parametrize('version', [1, 2])
def test_other_taps_take_the_same_file(version, tmp_path):
    """Which stage a block falls into is the model's choice: the network stays the same."""
    state, answers = recorded(version)
    taps = (3, 5, SMALL[version]['taps'][-1])
    model = VisionLSTM({**SMALL[version], 'taps': taps}, out_indices=(0, 1, 2), out_norm=False)
    usual = VisionLSTM(SMALL[version], out_norm=False)
    for each in (model, usual):
        each.init_cfg = saved(state, tmp_path)
        each.init_weights()
    with torch.no_grad():
        got, expected = model.eval()(picture(answers[0][0])), usual.eval()(picture(answers[0][0]))
    for a, b in zip(got, expected[1:], strict=True):
        assert torch.equal(a, b)


def test_unbuilt_blocks_are_dropped_and_further_ones_refused(tmp_path):
    state, _ = recorded(1)
    init_cfg = saved(to_hub(state, 1), tmp_path)
    report = load_backbone(VisionLSTM(SMALL[1], out_indices=(0, 1)), init_cfg['checkpoint'])
    assert 'stage after the last of out_indices' in str(report)
    with pytest.raises(InputError, match=r'in the file only: blocks\.4\.0\.norm\.weight'):
        VisionLSTM({**SMALL[1], 'taps': (1, 3, 5, 7)}, init_cfg=init_cfg).init_weights()
    with pytest.raises(InputError, match=r'hub version 1 layout\) does not fit'):
        VisionLSTM(SMALL[2], init_cfg=init_cfg).init_weights()


def test_position_embedding_of_another_grid_is_resized_as_by_the_authors(tmp_path):
    state, _ = recorded(2)
    embedding = torch.randn(1, 27, 27, 32)
    state['pos_embed.embed'] = embedding
    model = VisionLSTM(SMALL[2], init_cfg=saved(state, tmp_path))
    model.init_weights()
    expected = F.interpolate(embedding.permute(0, 3, 1, 2), (14, 14), mode='bicubic').permute(0, 2, 3, 1)
    torch.testing.assert_close(model.stem.pos_embed.weight.data, expected)


@pytest.mark.parametrize('arch', PARAMS)
def test_parameter_counts_are_the_authors(arch):
    model = VisionLSTM(arch, out_indices=(3,))
    assert sum(p.numel() for p in model.parameters()) == PARAMS[arch]


@pytest.mark.parametrize('arch', ARCHS)
def test_taps_end_pairs_and_the_network(arch):
    taps = ARCHS[arch].taps
    assert sum(pairs_per_stage(taps)) == taps[-1] // 2 + 1
    if arch != 'nano':
        for tap, share in zip(taps, (1 / 3, 1 / 2, 2 / 3, 1)):
            assert abs((tap + 1) - share * (taps[-1] + 1)) <= 1


@pytest.mark.parametrize('taps', [(), (2, 5), (3, 3), (5, 3), (0, 1)])
def test_bad_taps(taps):
    with pytest.raises(ValueError, match='expected ascending sub-blocks'):
        VisionLSTM(dict(dim=16, taps=taps))


def test_an_odd_last_sub_block_stands_alone():
    model = VisionLSTM(SMALL[1])
    assert [len(block) for stage in model.stages for block in stage.blocks] == [2, 2, 2, 2, 1]
    depth, layers = model.get_layer_depth('stages.3.blocks.1.0.norm.weight')
    assert (depth, layers) == (5, 7)


def test_pairs_count_as_one_layer():
    model = VisionLSTM('t', out_indices=(0,))
    depths = {
        model.get_layer_depth(f'backbone.stages.0.blocks.1.{half}.norm.weight', 'backbone.')[0] for half in (0, 1)
    }
    assert depths == {2}


def test_designs_scan_what_they_say():
    def scanned(design):
        model = VisionLSTM('nano', out_indices=(0, 1), directions=design)
        return [sub.layer.directions for stage in model.stages for block in stage.blocks for sub in block]

    ahead, back, down, up = (('rows',), ('rows_reversed',), ('columns',), ('columns_reversed',))
    assert scanned('alternating') == [ahead, back, ahead, back]
    assert scanned('unidirectional') == [ahead] * 4
    assert scanned('quad') == [ahead, back, down, up]
    assert scanned('bidirectional') == scanned('bidirectional_shared') == [('rows', 'rows_reversed')] * 4


@pytest.mark.parametrize('design', DESIGNS)
def test_designs_run(design):
    model = VisionLSTM('nano', directions=design)
    levels = model(torch.randn(1, 3, 37, 53))
    sum(level.square().mean() for level in levels).backward()
    assert all(level.shape == (1, 64, 5, 7) and level.isfinite().all() for level in levels)
    assert all(p.grad is not None for p in model.parameters())


def test_unidirectional_features_do_not_see_what_comes_later():
    model = VisionLSTM(dict(dim=32, taps=(1, 3), version=1, patch=8), out_indices=(0, 1), directions='unidirectional')
    images = torch.randn(1, 3, 32, 32, requires_grad=True)
    model(images)[-1][0, :, 1, 1].square().sum().backward()
    seen = F.max_pool2d(images.grad.abs().amax(1), 8)[0] > 0
    assert seen.flatten().tolist() == [True] * 6 + [False] * 10


def test_shared_directions_have_one_set_of_weights():
    count = {design: sum(p.numel() for p in VisionLSTM('nano', directions=design).parameters()) for design in DESIGNS}
    assert count['bidirectional_shared'] == count['alternating'] == count['quad'] < count['bidirectional']


def test_unknown_design_and_strides():
    with pytest.raises(ValueError, match='unknown directions'):
        VisionLSTM('nano', directions='spiral')
    for stride in (16, 5):
        with pytest.raises(ValueError, match=f'patch_stride={stride}'):
            VisionLSTM('nano', patch_stride=stride)


def test_smaller_stride_keeps_cells_where_they_belong():
    """The kernel's weight in its middle alone: every cell answers what lies around its centre in the image."""
    model = VisionLSTM('nano', out_indices=(0,), patch_stride=4)
    assert model.out_strides == (4,)
    stem = model.stem
    with torch.no_grad():
        stem.proj.weight.zero_()[:, :, 3:5, 3:5] = 0.25 / 3
        stem.pos_embed.weight.zero_()
        rows = torch.arange(24.0)[:, None].expand(24, 32) + 0.5
        got = stem(rows[None, :, :, None].expand(1, 24, 32, 3))
    expected = (torch.arange(6.0) + 0.5) * 4
    torch.testing.assert_close(got[0, :, :, 0], expected[:, None].expand(6, 8))


def test_grid_is_that_of_each_image():
    model = VisionLSTM('nano').eval()
    with torch.no_grad():
        for size in [(40, 64), (64, 40), (40, 64)]:
            assert model(torch.randn(1, 3, *size))[-1].shape[2:] == (size[0] // 8, size[1] // 8)
    assert model.stem.pos_embed.weight.shape == (1, 14, 14, 64)


def test_batch_and_single_images_agree():
    model = VisionLSTM('nano').eval()
    images = torch.randn(3, 3, 40, 56)
    with torch.no_grad():
        together, alone = model(images)[-1], torch.cat([model(image[None])[-1] for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
