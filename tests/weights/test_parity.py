"""The verification of converted files finds what is wrong with them."""

import sys

import pytest
import timm
import torch
from safetensors.torch import load_file as plain_load

from mmseq.errors import InputError
from mmseq.weights.arch_tables import arch_table
from mmseq.weights.conversion import convert
from mmseq.weights.opened import open_source
from mmseq.weights.parity import check_features, check_round_trip, verify
from mmseq.weights.weights_file import save_weights


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    """A conversion of timm's small Sequencer2D, its file, and the archs."""
    torch.manual_seed(0)
    peer = timm.create_model('sequencer2d_s')
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.03)
    folder = tmp_path_factory.mktemp('parity')
    torch.save(peer.state_dict(), folder / 'timm.pth')
    table = arch_table('sequencer2d', 's')
    done = convert(open_source(folder / 'timm.pth'), table)
    save_weights(done.tensors, folder / 'ours.safetensors', done.facts())
    return done, folder / 'ours.safetensors', table


def test_a_sound_file_passes_both(converted):
    trip, features = verify(*converted)
    assert trip == 'round trip: 478/478 tensors come back bit for bit'
    assert "2 random images of 224 px differ from timm's sequencer2d_s by" in features


def test_without_timm_the_report_says_what_was_not_compared(converted, monkeypatch):
    done, file, _ = converted
    monkeypatch.setitem(sys.modules, 'timm', None)
    assert check_features(done, file) == "features: not compared with timm's, which is not installed (pip install timm)"


def test_a_last_bit_is_found_by_the_round_trip_and_more_by_the_features(converted, tmp_path):
    done, file, table = converted
    tensors = plain_load(file)
    weight = tensors['stages.1.blocks.0.norm1.weight']
    weight[3] = torch.nextafter(weight[3], torch.tensor(9.0))
    save_weights(tensors, tmp_path / 'a.safetensors', {})
    with pytest.raises(InputError, match=r'1 of 478 tensors do not come back bit for bit.*stages\.1\.blocks\.0\.norm1'):
        check_round_trip(done, tmp_path / 'a.safetensors', table)
    weight[3] += 0.5
    save_weights(tensors, tmp_path / 'b.safetensors', {})
    with pytest.raises(InputError, match="features of 2 random images differ from timm's by"):
        check_features(done, tmp_path / 'b.safetensors')
