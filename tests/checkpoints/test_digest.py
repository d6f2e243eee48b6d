"""Sums and digests that files carry are looked at."""

import io
import zipfile

import pytest
import torch
from safetensors.torch import save_file as plain_save

from mmseq.checkpoints.digest import check_zip, digest_in_name, file_sha256, tensors_sha256
from mmseq.checkpoints.storage import load_file, load_metadata
from mmseq.errors import InputError
from mmseq.weights.weights_file import check_target, save_weights

WEIGHTS = {'a': torch.arange(1000.0), 'b': torch.ones(2, 3, dtype=torch.float16)}


def flip(path, find):
    data = bytearray(path.read_bytes())
    data[data.find(find) + 40] ^= 4
    path.write_bytes(data)


def test_a_flipped_bit_in_a_zip_file_is_found_though_torch_does_not(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(WEIGHTS, path)
    flip(path, WEIGHTS['a'].numpy().tobytes()[:64])
    assert not torch.equal(torch.load(path, weights_only=True)['a'], WEIGHTS['a'])
    with pytest.raises(InputError, match=r"a\.pth: is damaged or no checkpoint \(Bad CRC-32 for file '.*data/0'\)"):
        load_file(path)


def test_files_that_were_saved_without_sums_are_read(tmp_path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    torch.save(WEIGHTS, tmp_path / 'a.pth')
    torch.serialization.set_crc32_options(before)
    assert torch.equal(load_file(tmp_path / 'a.pth')['a'], WEIGHTS['a'])


def test_two_entries_of_one_name(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'a.pth')
    with zipfile.ZipFile(tmp_path / 'a.pth', 'a') as archive, pytest.warns(UserWarning, match='Duplicate name'):
        archive.writestr('a/data/0', b'x')
    with pytest.raises(InputError, match='two entries of the zip file have one name'):
        load_file(tmp_path / 'a.pth')


def test_an_entry_of_another_length_is_refused(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'a.pth')
    with zipfile.ZipFile(tmp_path / 'a.pth') as archive, zipfile.ZipFile(tmp_path / 'b.pth', 'w') as changed:
        for entry in archive.infolist():
            data = archive.read(entry)
            changed.writestr(entry.filename, data[:100] if entry.filename.endswith('data/0') else data)
    with pytest.raises(InputError, match='is damaged'):
        load_file(tmp_path / 'b.pth')


def test_a_zip_file_that_unpacks_to_far_more_than_it_is(tmp_path, monkeypatch):
    torch.save({'a': torch.zeros(1 << 18)}, tmp_path / 'a.pth')
    packed = zipfile.ZipFile(tmp_path / 'b.pth', 'w', zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / 'a.pth') as archive, packed:
        for entry in archive.infolist():
            packed.writestr(entry.filename, archive.read(entry))
    assert load_file(tmp_path / 'b.pth')['a'].shape == (1 << 18,)
    # A gigabyte in truth.
    monkeypatch.setattr('mmseq.checkpoints.digest._UNPACKED_FREELY', 1 << 20)
    with pytest.raises(InputError, match='says it unpacks to 1048'):
        load_file(tmp_path / 'b.pth')


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
def test_weights_carry_their_digest(tmp_path, suffix):
    path = tmp_path / f'a{suffix}'
    assert save_weights(WEIGHTS, path, {'arch': 's'}) == file_sha256(path)
    loaded = load_file(path)
    meta = load_metadata(path) if suffix == '.safetensors' else loaded['meta']
    assert meta['arch'] == 's'
    assert meta['tensors_sha256'] == tensors_sha256(WEIGHTS)


def test_changed_weights_under_an_old_digest_are_refused(tmp_path):
    meta = {'tensors_sha256': tensors_sha256(WEIGHTS)}
    changed = {**WEIGHTS, 'a': WEIGHTS['a'] + 1}
    plain_save(changed, tmp_path / 'a.safetensors', meta)
    torch.save({'state_dict': changed, 'meta': meta}, tmp_path / 'a.pth')
    for name in ('a.safetensors', 'a.pth'):
        with pytest.raises(InputError, match=r'its tensors are not those whose digest was recorded'):
            load_file(tmp_path / name)


def test_the_digest_knows_names_types_and_shapes():
    one = tensors_sha256({'a': torch.zeros(4)})
    assert one == tensors_sha256({'a': torch.zeros(8)[::2]})
    for other in ({'b': torch.zeros(4)}, {'a': torch.zeros(2, 2)}, {'a': torch.zeros(4, dtype=torch.int32)}, {}):
        assert tensors_sha256(other) != one


def test_a_name_that_promises_a_digest(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'a.pth')
    digest = file_sha256(tmp_path / 'a.pth')
    for name in (f'a-{digest[:8]}.pth', f'a-{digest}.pth', 'a-20240131.pth', 'a-00160000.pth', 'a-notahash.pth'):
        (tmp_path / 'a.pth').rename(tmp_path / name)
        assert torch.equal(load_file(tmp_path / name)['a'], WEIGHTS['a'])
        (tmp_path / name).rename(tmp_path / 'a.pth')
    (tmp_path / 'a.pth').rename(tmp_path / 'a-0123abcd.pth')
    with pytest.raises(InputError, match=f'the name promises sha256 0123abcd, the file has {digest[:8]}'):
        load_file(tmp_path / 'a-0123abcd.pth')
    (tmp_path / 'a-0123abcd.pth').rename(tmp_path / 'a-48213377.pth')
    with pytest.raises(InputError, match='the name promises sha256 48213377'):
        load_file(tmp_path / 'a-48213377.pth')


@pytest.mark.parametrize(
    ('name', 'digest'),
    [
        ('model-1a2b3c4d.pth', '1a2b3c4d'),
        (f'model-{"0a" * 32}.safetensors', '0a' * 32),
        ('https://host/folder-48213377.x/model-48213377.pth', '48213377'),
        # no such day, month or year
        ('model-20240230.pth', '20240230'),
        ('model-20241301.pth', '20241301'),
        ('model-17760704.pth', '17760704'),
        ('upernet-20260101.pth', None),
        ('soup-31122026.pth', None),
        ('soup-12312026.pth', None),
        ('snapshot-00160000.pth', None),
        # a time, a commit, digits in the middle, upper case, no hyphen
        ('model-20240101120000.pth', None),
        (f'model-{"0a" * 20}.pth', None),
        ('model-1a2b3c4d-final.pth', None),
        ('model-1A2B3C4D.pth', None),
        ('1a2b3c4d.pth', None),
        ('model-1a2b3c4d', None),
    ],
)
def test_which_names_promise_a_digest(name, digest):
    assert digest_in_name(name) == digest


def test_outputs_that_would_do_harm(tmp_path):
    (tmp_path / 'a.pth').write_bytes(b'x')
    for path, why in {
        tmp_path / 'a.txt': 'its suffix is none of weights',
        tmp_path / 'a.pth': 'is the source itself',
        tmp_path / 'b-0123abcd.pth': 'ends like a digest',
    }.items():
        with pytest.raises(InputError, match=why):
            check_target(path, (tmp_path / 'a.pth',))
    for name in ('soup-20261130.pth', 'soup-00160000.safetensors'):
        assert check_target(tmp_path / name, ()) == tmp_path / name


def _zipped(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        for name, data in entries.items():
            archive.writestr(name.replace('__', '/'), data)
    return file.getvalue()


@pytest.mark.parametrize(
    'content,message',
    [
        (_zipped(a__data=b'1') + _zipped(a__data=b'2'), 'not where it should be'),
        (_zipped(a__data=b'1')[:-2] + b'\x16\0' + _zipped()[-22:], 'not where it should be'),
        (_zipped(a__data=b'1')[:-22] + b'gap' + _zipped(a__data=b'1')[-22:], 'not where it should be'),
        (_zipped(a__data=b'1') + b'more', 'not where it should be'),
        (_zipped(a__data=b'1', a__DATA=b'2'), 'two entries of the zip file have one name'),
        (_zipped(a__data=b'1', b__data=b'2'), r'several folders \(a, b\)'),
        (_zipped(a__data=b'1', A__other=b'2'), r'several folders \(A, a\)'),
    ],
)
def test_zip_files_that_two_readers_would_read_differently(tmp_path, content, message):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(InputError, match=message):
        check_zip(tmp_path / 'a.pth')


def test_a_comment_is_no_other_directory(tmp_path):
    content = _zipped(a__data=b'1')
    (tmp_path / 'a.pth').write_bytes(content[:-2] + b'\5\0hello')
    check_zip(tmp_path / 'a.pth')
