"""Checkpoints stripped to their weights."""

import json

import pytest
import torch

from mmseq.checkpoints.digest import file_sha256
from mmseq.checkpoints.storage import load_file, load_metadata
from mmseq.errors import InputError
from mmseq.weights.publish import publish


def training_file(folder, weight):
    path = folder / 'epoch_12.pth'
    payload = {
        'state_dict': {'module.backbone.w': weight, 'module.head.n': torch.tensor(4)},
        'optimizer': {'state': {0: {'exp_avg': torch.ones(100_000)}}},
        'message_hub': {},
        'meta': {'epoch': 12, 'dataset_meta': {'classes': ('cat', 'dog')}, 'cfg': 'lr = 1'},
    }
    torch.save(payload, path)
    return path


def test_only_weights_under_a_name_with_their_digest(tmp_path):
    source = training_file(tmp_path, torch.arange(5.0))
    path, remarks = publish(source, tmp_path / 'release' / 'model.pth')
    assert path.name == f'model-{file_sha256(path)[:8]}.safetensors'
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert path.stat().st_size < 2000
    loaded = load_file(path)
    assert set(loaded) == {'backbone.w', 'head.n'}
    assert torch.equal(loaded['backbone.w'], torch.arange(5.0))
    said = load_metadata(path)
    assert (said['source'], said['source_sha256'], said['epoch']) == ('epoch_12.pth', file_sha256(source), '12')
    assert json.loads(said['dataset_meta']) == {'classes': ['cat', 'dog']}
    assert 'of state_dict, optimizer, message_hub, meta only the weights were taken' in remarks[1]


@pytest.mark.parametrize('name', ['soup-20261130', 'soup-20261130.pth', 'soup.bin'])
def test_dates_and_any_suffix_of_weights_in_the_name_asked_for(tmp_path, name):
    path, _ = publish(training_file(tmp_path, torch.arange(5.0)), tmp_path / 'release' / name)
    assert path.name == f'{name.partition(".")[0]}-{file_sha256(path)[:8]}.safetensors'
    assert torch.equal(load_file(path)['backbone.w'], torch.arange(5.0))


def test_weights_that_are_no_numbers_are_not_published(tmp_path):
    with pytest.raises(InputError, match='1 tensors not finite: backbone.w'):
        publish(training_file(tmp_path, torch.tensor([float('inf')])), tmp_path / 'model')
    assert [entry.name for entry in tmp_path.iterdir()] == ['epoch_12.pth']


def test_damage_after_publishing_is_found_by_the_name(tmp_path):
    path, _ = publish(training_file(tmp_path, torch.arange(5.0)), tmp_path / 'model')
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match='is damaged, or not what its name says'):
        load_file(path)
