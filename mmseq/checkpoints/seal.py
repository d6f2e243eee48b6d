"""A checkpoint that carries its own SHA-256, so that a torn or altered file is known before it is used.

The digest stands in the comment field at the end of the zip file that `torch.save` writes, which every reader of zip
files passes over. Beside the file it could not be replaced in one step together with it.
"""

import hashlib
import os
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from mmseq.errors import InputError

_MARK = b'sha256:'
_LENGTH = struct.pack('<H', len(_MARK) + 64)
_TAIL = len(_LENGTH) + len(_MARK) + 64
# What `torch.save` leaves there: the length of an empty comment.
_NO_COMMENT = b'\0\0'


def seal(file: BinaryIO, digest: Any) -> None:
    """Put the digest of a zip file just written, without comment, behind it.

    Args:
        file: open for writing; its position is the end of the zip file.
        digest: the `hashlib.sha256` of all bytes of the zip file.
    """
    file.seek(-len(_NO_COMMENT), os.SEEK_END)
    file.write(_LENGTH + _MARK + digest.hexdigest().encode())


def check_whole(path: str | os.PathLike[str]) -> None:
    """Compare a checkpoint with the digest in it; one of other origin with the checksums that every zip file has.

    Raises:
        InputError: the file is torn, altered or not readable; it names the file.
    """
    path = Path(path)
    try:
        with path.open('rb') as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL, 0))
            tail = file.read()
            sealed = tail.startswith(_LENGTH + _MARK)
            damage = _broken_seal(file, size - _TAIL, tail) if sealed else _bad_checksum(file)
    except zipfile.BadZipFile:
        damage = 'its end is missing'
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); check the path and its permissions') from None
    if damage:
        raise InputError(f'{path}: is torn or damaged ({damage})')


def _broken_seal(file: BinaryIO, length: int, tail: bytes) -> str | None:
    digest = hashlib.sha256()
    file.seek(0)
    while length > 0:
        block = file.read(min(length, 1 << 22))
        if not block:
            return 'it is cut short'
        digest.update(block)
        length -= len(block)
    digest.update(_NO_COMMENT)
    return None if tail.endswith(digest.hexdigest().encode()) else 'its SHA-256 differs from the one noted in it'


def _bad_checksum(file: BinaryIO) -> str | None:
    with zipfile.ZipFile(file) as archive:
        if archive.comment.startswith(_MARK):
            return 'its end is cut, or followed by something else'
        name = archive.testzip()
    return name and f'the checksum of {name} differs'
