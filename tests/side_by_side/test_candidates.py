"""Backbones by the names of cards, of our archs and of timm."""

import pytest
import torch
from mmengine.config import Config

from mmseq.errors import InputError
from mmseq.registry import MODELS
from mmseq.side_by_side.candidates import cards, find_candidates

pytest.importorskip('timm')
OWN = """backbone = dict(type='mmseq.ShiftViT', arch='nano', frozen_stages=1, init_cfg=None)"""


def found(name, from_scratch=False):
    return find_candidates([name], from_scratch)[0]


def test_a_card_before_timms_model_of_that_name():
    one = found('resnet50')
    assert one.backbone['norm_eval']
    assert one.weights == 'timm://resnet50.a1_in1k'
    assert one.channels == (256, 512, 1024, 2048)
    # Statistics of random weights are not to be kept.
    anew = found('resnet50', from_scratch=True)
    assert 'norm_eval' not in anew.backbone
    assert anew.weights == 'random'


def test_an_arch_of_ours_with_its_published_weights():
    one = found('sequencer2d_s')
    assert (one.backbone['type'], one.backbone['arch']) == ('mmseq.Sequencer2D', 's')
    assert one.weights.endswith('sequencer2d_s.pth')
    assert one.channels == (192, 384, 384, 384)
    assert found('vsequencer_s').weights == 'random'


def test_names_of_timm_with_and_without_a_tag():
    assert found('convnext_atto').weights.startswith('timm://convnext_atto.')
    assert found('convnext_atto.d2_in1k').weights == 'timm://convnext_atto.d2_in1k'
    assert found('convnext_atto').backbone['type'] == 'mmseq.Timm'


def test_a_card_of_ones_own(tmp_path):
    (tmp_path / 'mine.py').write_text(OWN)
    one = found(str(tmp_path / 'mine.py'))
    assert one.backbone['frozen_stages'] == 1
    assert one.label.endswith('mine')
    assert '/' not in one.label
    (tmp_path / 'empty.py').write_text('channels = [1]')
    with pytest.raises(InputError, match=r'empty\.py: the file defines no backbone'):
        found(str(tmp_path / 'empty.py'))
    (tmp_path / 'odd.py').write_text(OWN.replace('init_cfg', 'odd=1, init_cfg'))
    with pytest.raises(InputError, match=r"odd\.py: cannot be built: .*unexpected keyword argument 'odd'"):
        found(str(tmp_path / 'odd.py'))
    (tmp_path / 'two.py').write_text(OWN.replace('init_cfg', 'out_indices=(0, 1), out_strides=(4, 8), init_cfg'))
    with pytest.raises(InputError, match=r'two\.py: '):
        found(str(tmp_path / 'two.py'))
    with pytest.raises(InputError, match=r'absent\.py: no such file'):
        found('absent.py')


@pytest.mark.parametrize('name', [name for name in cards() if name.endswith('_nano')])
def test_nano_cards_are_of_like_size_and_name_their_channels(name):
    one = found(name)
    built = MODELS.build(dict(one.backbone))
    assert 0.25e6 < sum(parameter.numel() for parameter in built.parameters()) < 0.75e6
    assert tuple(Config.fromfile(cards()[name]).channels) == one.channels
    levels = built.eval()(torch.zeros(1, 3, 64, 96))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (channels, 64 // stride, 96 // stride) for channels, stride in zip(one.channels, (4, 8, 16, 32))
    ]


@pytest.mark.parametrize(
    'names,said',
    [
        (['swin_t', 'seq2d_nano', 'swin_t'], 'swin_t is there twice'),
        (['sequencer2d_nanoo'], "is no card, no arch of ours and none of timm's models; nearest: sequencer2d_nano, "),
    ],
)
def test_what_is_refused(names, said):
    with pytest.raises(InputError, match=said):
        find_candidates(names, True)
