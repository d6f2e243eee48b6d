"""Checkpoint files: opened without running anything from them, written whole or not at all.

torch refuses unknown names in a pickle (`weights_only=True`), and so it refuses mmengine's own training files. The
second attempt here keeps torch's restricted unpickler, which builds nothing outside its list, calls nothing outside
its list and takes no persistent ids but storages, and adds the stand-ins of `records` to the list for that one call.
`torch.load(weights_only=False)` with a restricted `pickle_module` would not do: for the old format it acts on
persistent ids, and writes a file of the checkpoint's choosing without one odd name being asked for.
"""

import hashlib
import io
import json
import os
import pickle
import re
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from torch.types import Storage

from mmseq.checkpoints.digest import check_name, check_tensors, check_zip
from mmseq.checkpoints.pickles import examine, examine_legacy
from mmseq.checkpoints.records import STAND_INS, RefusedError, interpret, to_plain, without_arrays
from mmseq.checkpoints.seal import seal
from mmseq.errors import InputError
from mmseq.files import draft_beside, put_in_place, whole_file

MapLocation = str | torch.device | dict[str, str] | Callable[[Storage, str], Storage] | None

# What torch's readers raise over bytes that are not what they expect; the list is theirs, not a wish to catch all.
_DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
JSON_KEYS = frozenset(('dataset_meta', 'epoch', 'iter'))
"""Of the metadata of `.safetensors` files, which hold texts alone: what is JSON there."""
# What a compressed pickle may unpack to where the file is smaller.
_LARGEST_PICKLE = 1 << 26
# The list of allowed names is one per process: two threads must not restore each other's.
_names_lock = threading.Lock()


def load_file(path: str | os.PathLike[str], *, map_location: MapLocation = 'cpu') -> dict[str, Any]:
    """Open a `.safetensors` file, or any file of `torch.save`, without running code from it.

    Numpy arrays in training files come back as tensors, numpy scalars as Python numbers, `argparse.Namespace` as dict
    and mmengine's histories as `HistoryRecord`.

    The sums that a zip file keeps, a digest in the name and a digest beside the tensors are checked.

    Args:
        map_location: as in `torch.load`.

    Raises:
        InputError: the file is missing, damaged, no checkpoint, or names anything beyond tensors and plain data.
    """
    return without_arrays(load_records(path, map_location=map_location))


def load_records(path: str | os.PathLike[str], *, map_location: MapLocation = 'cpu') -> dict[str, Any]:
    """Do what `load_file` does, but keep numpy arrays and scalars as `ArrayRecord`, which knows their numpy type."""
    path = Path(path).expanduser()
    is_zip = _look_at(path)
    check_name(path)
    try:
        if path.suffix == '.safetensors':
            return _load_safetensors(path, map_location)
        if is_zip:
            check_zip(path)
        _examine(path, is_zip)
        result = interpret(_load_torch(path, map_location))
        if isinstance(result, Mapping) and isinstance(result.get('meta'), Mapping):
            weights: Mapping[str, Tensor] = next((result[key] for key in ('state_dict', 'model') if key in result), {})
            check_tensors(weights, result['meta'], path)
    except InputError:
        raise
    except RefusedError as error:
        raise InputError(f'{path}: holds {error}: refused; the file was not loaded') from None
    except (*_DAMAGE, safetensors.SafetensorError) as error:
        raise InputError(_explain(path, error)) from error
    if not isinstance(result, dict):
        raise InputError(f'{path}: holds a {type(result).__name__}, not a dict of weights; save a state dict instead')
    return result


def load_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a checkpoint says of itself, in a training file under ``meta``; its tensors are not read.

    What is no text in a training file, such as ``dataset_meta``, is JSON in the metadata of a `.safetensors` file.

    Raises:
        InputError: as `load_file`; damage to tensors is not seen.
    """
    path = Path(path).expanduser()
    is_zip = _look_at(path)
    if path.suffix == '.safetensors':
        return _decoded(path)
    if not is_zip:
        return load_file(path).get('meta') or {}
    try:
        _examine(path, True)
        found = _load_torch(path, 'cpu', mmap=True)
        meta = found.get('meta') if isinstance(found, Mapping) else None
        return without_arrays(interpret(meta)) if isinstance(meta, Mapping) else {}
    except RefusedError as error:
        raise InputError(f'{path}: holds {error}: refused; the file was not loaded') from None
    except _DAMAGE as error:
        raise InputError(_explain(path, error)) from error


def _decoded(path: Path) -> dict[str, Any]:
    try:
        said: dict[str, Any] = dict(load_metadata(path))
        for key in said.keys() & JSON_KEYS:
            said[key] = json.loads(said[key])
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InputError(_explain(path, error)) from error
    return said


def _look_at(path: Path) -> bool:
    """Refuse files that are no checkpoint, by their first bytes; return whether it is a zip file."""
    if path.is_dir():
        raise InputError(f'{path}: is a directory; name a checkpoint file in it')
    try:
        with path.open('rb') as file:
            head = file.read(512)
    except FileNotFoundError:
        raise InputError(f'{path}: no such file; check the path') from None
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); check the path and its permissions') from None
    text = head.lstrip().lower()
    if not head:
        raise InputError(f'{path}: is empty; download or copy it again')
    if head.startswith(b'version https://git-lfs'):
        raise InputError(f'{path}: is a git-lfs pointer, not the weights; run "git lfs pull" where it came from')
    if text.startswith((b'<!doctype', b'<html', b'<?xml', b'<head')):
        raise InputError(f'{path}: is a web page, not weights: the download failed; download it again')
    if path.suffix != '.safetensors' and not head.startswith((b'PK', b'\x80')):
        kind = 'a text file' if b'\0' not in head and _is_text(head) else 'in no format of torch.save'
        raise InputError(f'{path}: is {kind}, not a checkpoint; expected a .safetensors file or one of torch.save')
    return head.startswith(b'PK\x03\x04')


def _is_text(head: bytes) -> bool:
    # The cut at 512 bytes may have split a character.
    return all(byte >= 32 or byte in b'\t\n\r\f\v' for byte in head) and '\ufffd' not in head[:-4].decode(
        'utf-8', errors='replace'
    )


def _load_safetensors(path: Path, map_location: MapLocation) -> dict[str, Tensor]:
    device = str(map_location) if isinstance(map_location, str | torch.device) else 'cpu'
    tensors = safetensors.torch.load_file(path, device=device)
    check_tensors(tensors, load_metadata(path), path)
    return tensors


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """What a `.safetensors` file says about itself."""
    with safetensors.safe_open(path, framework='pt') as file:
        return file.metadata() or {}


def _examine(path: Path, is_zip: bool) -> None:
    """Follow the pickles of a file of torch.save before torch does.

    Raises:
        RefusedError: see :func:`mmseq.checkpoints.pickles.examine`.
    """
    if not is_zip:
        with path.open('rb') as file:
            examine_legacy(file, path.stat().st_size)
        return
    with zipfile.ZipFile(path) as archive:
        folder = archive.namelist()[0].partition('/')[0]
        # A TorchScript program, which torch itself refuses.
        if f'{folder}/constants.pkl' in archive.namelist():
            return
        entry = archive.getinfo(f'{folder}/data.pkl')
        if entry.file_size > max(_LARGEST_PICKLE, path.stat().st_size):
            raise RefusedError(f'a pickle of {entry.file_size} bytes, compressed')
    # The bytes that torch will read, by torch's own reader.
    examine(io.BytesIO(torch._C.PyTorchFileReader(str(path)).get_record('data.pkl')))


def _load_torch(path: Path, map_location: MapLocation, mmap: bool = False) -> Any:
    # Mapped only where no tensor is looked at: when it reads an entry, and only then, torch compares its length with
    # what the pickle wants of it.
    load = partial(torch.load, path, map_location=map_location, weights_only=True, mmap=mmap)
    try:
        return load()
    except pickle.UnpicklingError:
        with _stand_ins_allowed():
            return load()


@contextmanager
def _stand_ins_allowed() -> Iterator[None]:
    """Put the stand-ins, and nothing that other libraries allowed, on torch's list for a while."""
    with _names_lock:
        before = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(list(STAND_INS))
        try:
            yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(before)


def _refusal(path: Path, name: str) -> str:
    return f'{path}: wants to run {name}: refused; the file was not loaded. Get the weights from a source you trust'


def _explain(path: Path, error: BaseException) -> str:
    text = str(error)
    named = re.search(r'GLOBAL (\S+) (?:was not|whose module)', text)
    if named:
        # torch leaves the module out where it is builtins.
        name = named[1] if '.' in named[1] else f'builtins.{named[1]}'
        return _refusal(path, name)
    if 'TorchScript' in text:
        return f'{path}: is a TorchScript program, not weights; save its state_dict() instead'
    text = text.rpartition('WeightsUnpickler error:')[2].strip() or type(error).__name__
    reason = re.sub(r'\x1b\[\d*m', '', text.splitlines()[0])[:120]
    if 'CUDA device' in reason:
        return f'{path}: holds GPU tensors and there is no such GPU; load it with map_location="cpu"'
    return f'{path}: is damaged or no checkpoint ({reason}); download or copy it again'


def save_file(obj: Mapping[str, Any], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Write a checkpoint so that the file is at any moment the old one or the new one, never half of one.

    `.safetensors` takes a flat dict of tensors; every other suffix is written by `torch.save`, with records as plain
    data, and opens with `torch.load(weights_only=True)` if `obj` holds only tensors, records and plain data; it carries
    its SHA-256 (`mmseq.checkpoints.seal`).

    Args:
        metadata: of a `.safetensors` file; other files hold theirs in `obj`.

    Raises:
        InputError: `.safetensors` is asked for and `obj` is not a flat dict of tensors.
        OSError: the disk is full or the directory not writable; the old file stays as it was.
    """
    path = Path(path).expanduser()
    with whole_file(path, durable=True) as draft:
        if path.suffix == '.safetensors':
            _save_safetensors(_flat_tensors(obj, path), draft, {'format': 'pt', **(metadata or {})})
        else:
            _save_torch(obj, draft)


def _save_safetensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    path.touch()
    # safetensors 0.8 has a temporary file of its own, which a kill leaves and which its owner alone may read.
    with draft_beside(path) as folder:
        folder.mkdir()
        written = folder / 'weights'
        safetensors.torch.save_file(tensors, written, metadata)
        written.chmod(path.stat().st_mode)
        put_in_place(written, path)


def _save_torch(obj: Mapping[str, Any], path: Path) -> None:
    failures: list[OSError] = []
    with path.open('wb') as file:
        sink = _Sink(file, failures)
        try:
            # Of a file torch.save takes these two methods.
            torch.save(to_plain(obj), cast(IO[bytes], sink))
        except RuntimeError:
            # torch's writer hides the reason of a failed write behind an assertion of its own.
            if failures:
                raise failures[0] from None
            raise
        if failures:
            raise failures[0]
        seal(file, sink.digest)


class _Sink:
    """A file that keeps the OSError of a failed write, and the digest of the written bytes."""

    def __init__(self, file: Any, failures: list[OSError]) -> None:
        self.file = file
        self.failures = failures
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.failures.append(error)
            raise

    def flush(self) -> None:
        self.file.flush()


def _flat_tensors(obj: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    wrong = [key for key, value in obj.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if wrong:
        raise InputError(f'{path}: .safetensors holds tensors only, and {wrong[0]!r} is none; use the suffix .pth')
    tensors, storages = {}, set()
    for key, value in obj.items():
        value = value.detach().contiguous()
        # The format has no shared memory: of tied weights each gets a copy.
        shared = value.numel() > 0 and value.untyped_storage().data_ptr() in storages
        tensors[key] = value.clone() if shared else value
        storages.add(value.untyped_storage().data_ptr())
    return tensors
