"""A checkpoint knows whether it is whole."""

import zipfile
from pathlib import Path

import pytest
import torch

from mmseq.checkpoints.seal import check_whole
from mmseq.checkpoints.storage import load_file, save_file
from mmseq.errors import InputError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_file({'weight': torch.arange(10_000.0), 'meta': {'iter': 3}}, tmp_path / 'a.pth')
    return tmp_path / 'a.pth'


@pytest.mark.parametrize('mmap', [False, True])
def test_everybody_opens_a_sealed_file(saved: Path, mmap: bool) -> None:
    check_whole(saved)
    opened = torch.load(saved, weights_only=True, mmap=mmap)
    assert torch.equal(opened['weight'], torch.arange(10_000.0))
    assert torch.equal(load_file(saved)['weight'], opened['weight'])
    assert zipfile.ZipFile(saved).comment.startswith(b'sha256:')


def test_every_kind_of_damage_is_seen(saved: Path) -> None:
    whole = saved.read_bytes()
    middle = len(whole) // 2
    damaged = {
        'one byte short': whole[:-1],
        'half': whole[:middle],
        'nothing': b'',
        'begins late': whole[1:],
        'goes on': whole + b'x',
        'a hole': whole[:middle] + bytes(4096) + whole[middle + 4096 :],
        'another digest': whole[:-1] + (b'0' if whole[-1:] != b'0' else b'1'),
        'a bit of the first header': whole[:20] + bytes([whole[20] ^ 1]) + whole[21:],
    }
    for content in damaged.values():
        saved.write_bytes(content)
        with pytest.raises(InputError, match='is torn or damaged'):
            check_whole(saved)


def test_a_file_of_torch_itself_is_checked_by_its_checksums(tmp_path: Path) -> None:
    torch.save({'weight': torch.arange(10_000.0)}, tmp_path / 'a.pth')
    check_whole(tmp_path / 'a.pth')
    content = bytearray((tmp_path / 'a.pth').read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(InputError, match='the checksum of'):
        check_whole(tmp_path / 'a.pth')


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'none\.pth: cannot be read \(No such file'):
        check_whole(tmp_path / 'none.pth')
