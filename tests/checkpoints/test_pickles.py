"""Small files that would fill the memory, crash the interpreter or show memory that nobody has written."""

import json
import struct
import time
import zipfile
from pathlib import Path

import pytest
import torch

from mmseq.checkpoints import pickles
from mmseq.checkpoints.storage import load_file
from mmseq.errors import InputError
from tests.checkpoints.traps import TRAPS, WEIGHT, entries, legacy_storage, sound, tensor, text, write_legacy, write_zip

NUMBERS = struct.pack('<4f', 1, 2, 3, 4)


@pytest.mark.parametrize('kind', ['zip', 'compressed', 'legacy'])
@pytest.mark.parametrize('trap', TRAPS)
def test_traps_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str, kind: str) -> None:
    monkeypatch.setattr(pickles, 'MOST_OPCODES', 200_000)
    value, path = TRAPS[trap], tmp_path / 'a.pth'
    if kind == 'legacy':
        write_legacy(path, value, {'0': NUMBERS})
    else:
        write_zip(path, value, NUMBERS, zipfile.ZIP_DEFLATED if kind == 'compressed' else zipfile.ZIP_STORED)
    began = time.monotonic()
    with pytest.raises(InputError, match='refused; the file was not loaded') as caught:
        load_file(path)
    assert '\n' not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert time.monotonic() - began < 10


def test_sound_files_by_hand_open(tmp_path: Path) -> None:
    loaded = load_file(write_zip(tmp_path / 'a.pth', sound(), NUMBERS))
    assert loaded['state_dict']['x'].tolist() == [1, 2, 3, 4]
    assert loaded['shape'] == torch.Size((2, 3))
    value = entries(x=tensor(legacy_storage(4), (2, 2), (2, 1)))
    assert load_file(write_legacy(tmp_path / 'b.pth', value, {'0': NUMBERS}))['x'].tolist() == [[1, 2], [3, 4]]


def test_storages_that_the_file_does_not_fill_are_refused(tmp_path: Path) -> None:
    first, second = (tensor(legacy_storage(4, key), (4,), (1,)) for key in '01')
    value = entries(x=first, y=second)
    with pytest.raises(InputError, match="1 storages without numbers, such as '1'"):
        load_file(write_legacy(tmp_path / 'a.pth', value, {'0': NUMBERS}))
    with pytest.raises(InputError, match='2 storages without numbers'):
        load_file(write_legacy(tmp_path / 'a.pth', value, {}))
    assert load_file(write_legacy(tmp_path / 'a.pth', value, {'1': NUMBERS, '0': NUMBERS}))['y'].tolist() == [
        1,
        2,
        3,
        4,
    ]


def test_storages_larger_than_the_file_are_refused(tmp_path: Path) -> None:
    value = entries(x=tensor(legacy_storage(1 << 36), (4,), (1,)))
    with pytest.raises(InputError, match='tensors of more bytes than the'):
        load_file(write_legacy(tmp_path / 'a.pth', value, {'0': NUMBERS}))


def test_a_compressed_pickle_is_not_unpacked(tmp_path: Path) -> None:
    write_zip(tmp_path / 'a.pth', entries(x=text('a' * (1 << 26))), NUMBERS, zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match=r'unpacks to 671\d+ bytes|a pickle of 671\d+ bytes, compressed'):
        load_file(tmp_path / 'a.pth')


def test_long_keys_within_one_another_cost_no_memory(tmp_path: Path) -> None:
    key = text('k' * 2000)
    value = b'}' + b'}'.join([key] * 300) + b'N' + b's' * 300
    found = load_file(write_zip(tmp_path / 'a.pth', value))
    assert json.dumps(found).count('k') == 600_000


def test_a_detector_with_its_optimiser_is_far_from_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, 'MOST_OPCODES', pickles.MOST_OPCODES // 10)
    states = {
        n: {'step': torch.zeros(()), 'exp_avg': torch.zeros(2), 'exp_avg_sq': torch.zeros(2)} for n in range(1000)
    }
    model = {f'backbone.stages.0.blocks.{n}.weight': torch.zeros(2) for n in range(1000)}
    torch.save({'state_dict': model, 'optimizer': {'state': states}}, tmp_path / 'a.pth')
    assert len(load_file(tmp_path / 'a.pth')['state_dict']) == 1000


def test_weight_is_what_it_seems(tmp_path: Path) -> None:
    assert load_file(write_zip(tmp_path / 'a.pth', entries(x=WEIGHT), NUMBERS))['x'].tolist() == [1, 2, 3, 4]
