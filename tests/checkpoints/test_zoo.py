"""Weights that ship are named by an address or bare, loaded whole, and compared with their card."""

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmseq.api import create_backbone
from mmseq.checkpoints import zoo
from mmseq.checkpoints.fetch import locate
from mmseq.checkpoints.storage import load_file
from mmseq.checkpoints.zoo import find_shipped, shipped
from mmseq.errors import InputError
from tests.zoo_cards import ship

NAME = 'sequencer2d_nano_some'
# Bytes of a file: the repository and the wheel stay small.
LARGEST = 3_100_000


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A folder in the place of the package's, with the weights of one backbone."""
    monkeypatch.setattr(zoo, 'FOLDER', tmp_path / 'zoo')
    ship(tmp_path / 'zoo')
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'zoo'


@pytest.mark.parametrize('name', [f'mmseq://{NAME}', NAME])
def test_a_backbone_begins_with_them(folder, name):
    own, saved = create_backbone('sequencer2d_nano', weights=name).state_dict(), load_file(locate(name))
    assert len(saved) > 100
    assert all(torch.equal(own[key], tensor) for key, tensor in saved.items())


def test_a_file_goes_before_a_bare_name(folder):
    (folder.parent / NAME).touch()
    assert locate(NAME).parent != folder
    assert locate(f'mmseq://{NAME}').parent == folder


def test_upstreams_loader_takes_the_address(folder):
    assert CheckpointLoader.load_checkpoint(f'mmseq://{NAME}')['state_dict'].keys() == load_file(locate(NAME)).keys()


def test_an_unknown_name_is_answered_with_those_there_are(folder):
    ship(folder, 'shiftvit_nano_some', 'shiftvit')
    said = rf'^checkpoint mmseq://none: no such weights ship with mmseq; those that do are {NAME}, shiftvit_nano_some$'
    with pytest.raises(InputError, match=said):
        locate('mmseq://none')
    for file in folder.glob('*.json'):
        file.unlink()
    with pytest.raises(InputError, match='ship with mmseq; none do'):
        locate('mmseq://none')


def test_other_weights_than_the_cards_are_refused(folder):
    file = folder / f'{NAME}.safetensors'
    file.write_bytes(file.read_bytes()[:-1] + b'x')
    with pytest.raises(InputError, match=rf'mmseq://{NAME}: .*is damaged: expected sha256 \w{{64}}, found \w{{64}}'):
        locate(f'mmseq://{NAME}')
    file.unlink()
    with pytest.raises(InputError, match='found no file; install mmseq again'):
        locate(NAME)


def test_the_card_of_a_backbone(folder):
    found = find_shipped('sequencer2d', 'nano')
    assert (found.name, found.top1, found.image_size) == (NAME, 25.1, 64)
    assert find_shipped('sequencer2d', 's') is None


def test_what_ships_loads_whole_and_is_small():
    assert shipped()
    assert {path.stem for path in zoo.FOLDER.glob('*.safetensors')} == {card.name for card in shipped()}
    for card in shipped():
        assert locate(card.address).stat().st_size <= LARGEST
        assert card.data_licence
        if card.family != 'timm':
            made = create_backbone(f'{card.family}_{card.arch}', weights=card.address, out_indices=(3,))
            assert sum(parameter.numel() for parameter in made.parameters()) == card.parameters
