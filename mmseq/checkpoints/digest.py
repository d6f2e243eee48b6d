"""Digests of files and of weights, and where a file carries its own."""

import hashlib
import os
import re
import struct
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from mmseq.errors import InputError

TENSORS_DIGEST = 'tensors_sha256'
_CHUNK = 1 << 20
_UNPACKED_FREELY = 1 << 26
# The ends of a zip file's directory, and how far from the file's end the last one can lie.
_END, _END_64, _LOCATOR = b'PK\5\6', b'PK\6\6', b'PK\6\7'
_LONGEST_TAIL = 22 + 65535 + 76


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """The sha256 of names, types, shapes and numbers: the same for the same weights in every kind of file."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        tensor = tensors[key].detach().cpu().contiguous()
        digest.update(f'{key} {tensor.dtype} {tuple(tensor.shape)}\n'.encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def digest_in_name(name: str) -> str | None:
    """The sha256 that a file's name promises, whole or its first eight digits; None if it promises none.

    By torch hub's convention it stands behind the last hyphen: ``sequencer2d_s-1a2b3c4d.safetensors``. Eight decimal
    digits are one as well, which 2.3 % of all files have, unless they read as a date (``upernet-20260101.pth``) or
    begin with two zeros as a count does (``snapshot-00160000.pth``). Of true digests that leaves out 1 in 4000.
    """
    found = re.search(r'-([0-9a-f]{8}|[0-9a-f]{64})\.\w+$', name)
    return found[1] if found and not _is_date_or_count(found[1]) else None


def _is_date_or_count(digits: str) -> bool:
    if len(digits) != 8 or not digits.isdecimal():
        return False
    return digits.startswith('00') or any(_is_date(digits, order) for order in ('%Y%m%d', '%d%m%Y', '%m%d%Y'))


def _is_date(digits: str, order: str) -> bool:
    try:
        return 1990 <= datetime.strptime(digits, order).year < 2100
    except ValueError:
        return False


def check_name(path: Path) -> None:
    """Compare a file with the digest that its name promises; see :func:`digest_in_name`.

    Raises:
        InputError: it has another.
    """
    promised = digest_in_name(path.name)
    if promised is None:
        return
    found = file_sha256(path)
    if not found.startswith(promised):
        raise InputError(
            f'{path}: is damaged, or not what its name says: the name promises sha256 {promised}, the file has '
            f'{found[: len(promised)]}; download or copy it again, or rename it if you changed it'
        )


def check_zip(path: Path) -> None:
    """Check the sums that a zip file keeps of its entries, which torch does not look at.

    Raises:
        InputError: an entry has another sum, the directory can be read in two ways, or the entries are far larger than
            the file.
    """
    with path.open('rb') as file:
        _check_directory(file, path)
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check_names([entry.filename for entry in entries], path)
            size, unpacked = path.stat().st_size, sum(entry.file_size for entry in entries)
            # Weights hardly compress.
            if unpacked > max(_UNPACKED_FREELY, 20 * size):
                raise InputError(f'{path}: says it unpacks to {unpacked} bytes from {size}; not loaded')
            # torch can be told to leave the sums out; it then writes 0 for every entry.
            if not any(entry.CRC for entry in entries):
                return
            for entry in entries:
                with archive.open(entry) as record:
                    while record.read(_CHUNK):
                        pass


def _check_directory(file: BinaryIO, path: Path) -> None:
    """Refuse a zip file in which torch's reader could find another directory than Python's.

    Raises:
        InputError: there are bytes before the first entry, before or behind the directory, or in two places a
            directory's end.
    """
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _LONGEST_TAIL)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0:
        raise zipfile.BadZipFile('File is not a zip file')
    length, offset, comment = struct.unpack('<IIH', tail[at + 12 : at + 22])
    end = at
    if at >= 76 and tail[at - 20 : at - 16] == _LOCATOR:
        end = at - 76
        length, offset = struct.unpack('<QQ', tail[at - 36 : at - 20])
        place = struct.unpack('<Q', tail[at - 12 : at - 4])[0]
        if tail[end : end + 4] != _END_64 or place != start + end:
            offset = -1
    if at + 22 + comment != len(tail) or offset + length != start + end:
        raise InputError(
            f'{path}: the directory of the zip file is not where it should be; damaged, or made to deceive'
        )


def _check_names(names: list[str], path: Path) -> None:
    """Refuse names of entries that torch, to which upper and lower case are one, could take for one another.

    Raises:
        InputError: there are such names, or several folders.
    """
    if len({name.lower() for name in names}) < len(names):
        raise InputError(f'{path}: two entries of the zip file have one name; it is damaged, or made to deceive')
    folders = sorted({name.partition('/')[0] for name in names})
    if len(folders) > 1:
        raise InputError(
            f'{path}: the zip file has several folders ({", ".join(folders[:4])}), those of torch.save one; it is '
            'damaged, or made to deceive'
        )


def check_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], path: Path) -> None:
    """Compare tensors with the digest that this package writes beside them.

    Raises:
        InputError: they are not those that were written.
    """
    recorded = metadata.get(TENSORS_DIGEST)
    if recorded is not None and recorded != tensors_sha256(tensors):
        raise InputError(
            f'{path}: is damaged: its tensors are not those whose digest was recorded with them; download or copy it '
            f'again. A file that was changed on purpose must not keep the {TENSORS_DIGEST} of the old one'
        )
