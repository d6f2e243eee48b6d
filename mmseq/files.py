"""Results as files, each written whole or not at all: text, strict JSON, plain CSV, YAML, PNG and figures.

What is being written lies beside its place as a draft, under a name that no reader looks for, and is renamed when it is
complete: ``.NAME.MACHINE-PID-RANDOM.draft``, then the suffix where a writer insists on one. A killed process leaves its
draft behind; the next process that writes into the folder removes it. :class:`OwnNames` gives each result a name of its
own.
"""

import csv
import errno
import io
import json
import math
import os
import platform
import re
import shutil
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from numbers import Real
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

from mmseq.addresses import public_text

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

_DRAFT = re.compile(r'\..+\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.draft(?:\.\w+)?')
# Characters of a file's name that go into its draft's: names end at 255 bytes, and a character takes up to four.
_KEPT = 48
# Seconds without a write after which a draft of another machine is taken for abandoned.
_ABANDONED_AFTER = 24 * 3600
# Names of the drafts that this process is writing, and the folders where it has looked for those of others.
_open: set[str] = set()
_swept: set[Path] = set()


@contextmanager
def whole_file(path: str | Path, suffix: str = '', durable: bool = False) -> Iterator[Path]:
    """A draft that takes the place of ``path`` at the end of the block, or leaves no trace if the block raises.

    A link is written through. The mode is that of any new file. Devices and pipes are written as they are.

    Args:
        path: of the file; its folder is made if need be.
        suffix: of the draft, for writers that go by it.
        durable: wait until the file is on the disk, so that it is whole after a power failure as well.

    Yields:
        The draft's path; the block has to write a file there.

    Raises:
        OSError: the folder cannot be made or written to, or the disk is full; what was at ``path`` stays.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        yield path
        return
    with draft_beside(path, suffix) as draft:
        try:
            yield draft
            put_in_place(draft, path, durable)
        except OSError as error:
            # A full disk says nothing about where, and a draft's name says nothing to the user.
            if error.filename in (None, str(draft)):
                error.filename, error.filename2 = str(path), None
            raise


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder that takes the place of ``path`` at the end of the block, or is removed if the block raises.

    Raises:
        OSError: as in :func:`whole_file`; a folder that was at ``path`` stays.
    """
    with draft_beside(path) as fresh, draft_beside(path) as old:
        fresh.mkdir()
        yield fresh
        target = Path(os.path.realpath(path))
        if target.exists():
            target.rename(old)
        try:
            fresh.rename(target)
        except BaseException:
            if old.exists():
                old.rename(target)
            raise


@contextmanager
def draft_beside(path: str | Path, suffix: str = '') -> Iterator[Path]:
    """The path of a draft of a file or folder; what lies there at the end of the block is removed.

    For results whose name or right to be there shows only once they are written: :func:`put_in_place` keeps them.

    Args:
        path: of the result; the draft lies in the same folder, which is made if need be.
        suffix: of the draft.
    """
    # Of a link, beside the file that it leads to: renaming is atomic only within one file system.
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    name = f'.{path.name[:_KEPT]}.{machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.draft{suffix}'
    _open.add(name)
    try:
        yield path.with_name(name)
    finally:
        _remove(path.with_name(name))
        _open.discard(name)


def put_in_place(draft: Path, path: str | Path, durable: bool = False) -> None:
    """Give a complete file the name ``path`` in one step: readers see the old content or the new one, never a part."""
    path = Path(os.path.realpath(path))
    if durable:
        with draft.open('rb') as file:
            os.fsync(file.fileno())
    os.replace(draft, path)
    if durable and os.name == 'posix':
        _sync_folder(path.parent)


def drafts_in(folder: Path) -> list[Path]:
    """All drafts in a folder, whoever writes them."""
    return [Path(entry.path) for entry in os.scandir(folder) if _DRAFT.fullmatch(entry.name)]


def is_abandoned(draft: Path) -> bool:
    """Whether a draft's process is dead; of another machine's, whether it was not written to for a day."""
    found = _DRAFT.fullmatch(draft.name)
    assert found, f'{draft} is no draft'
    its_machine, process = found.groups()
    if its_machine != machine():
        return time.time() - draft.stat().st_mtime > _ABANDONED_AFTER
    # Restarted containers give their processes the old numbers.
    return draft.name not in _open if int(process) == os.getpid() else not is_alive(int(process))


def jsonable(value: Any) -> Any:
    """The value in JSON's own types: NaN and infinity become None, arrays and tensors become lists.

    Anything without a JSON counterpart is given as its ``str``.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    # numpy arrays, numpy scalars and tensors all answer to tolist()
    if hasattr(value, 'tolist'):
        plain = value.tolist()
        # the shortest decimal of a number's own precision: 0.81 in float32, not 0.8100000023841858
        return jsonable(float(str(value)) if isinstance(value, Real) and isinstance(plain, float) else plain)
    return str(value)


def write_text(path: str | Path, text: str) -> Path:
    """Write text in UTF-8, addresses in it without secrets; see :func:`whole_file`."""
    with whole_file(path) as draft:
        draft.write_text(public_text(text), encoding='utf-8', newline='')
    return Path(path)


def write_json(path: str | Path, value: Any) -> Path:
    """Write a value as strictly valid JSON (see :func:`jsonable`)."""
    return write_text(path, json.dumps(jsonable(value), indent=2, allow_nan=False) + '\n')


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write rows under a header. None, NaN and infinity become empty cells."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(columns)
    # csv writes None as an empty cell
    writer.writerows([jsonable(cell) for cell in row] for row in rows)
    return write_text(path, text.getvalue())


def write_yaml(path: str | Path, value: Any) -> Path:
    """Write a value as YAML, keys in their order (see :func:`jsonable`)."""
    import yaml

    return write_text(path, yaml.safe_dump(jsonable(value), sort_keys=False, allow_unicode=True, width=120))


def write_png(path: str | Path, image: 'np.ndarray') -> Path:
    """Write (H, W) of 8 or 16 bits, or (H, W, 3) bytes, red first."""
    import cv2

    with whole_file(path) as draft:
        draft.write_bytes(cv2.imencode('.png', image[:, :, ::-1] if image.ndim == 3 else image)[1].tobytes())
    return Path(path)


def write_figure(path: str | Path, figure: 'Figure') -> Path:
    """Write a figure of matplotlib as PNG."""
    with whole_file(path) as draft:
        figure.savefig(draft, format='png')
    return Path(path)


def append_json_line(path: str | Path, value: Any) -> Path:
    """Append one record to a JSON-lines file, in a single write.

    Behind a line that a kill has torn it begins a line of its own.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = public_text(json.dumps(jsonable(value), allow_nan=False)) + '\n'
    with path.open('ab+') as file:
        # A line that another process is writing looks torn until it is whole.
        _lock(file)
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b'\n' else '\n' + line
        file.write(line.encode())
    return path


class OwnNames:
    """Names for what is made of files, such as pictures of images: no two files have the same.

    Args:
        root: folder of the files; names keep the folders below it.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = os.path.abspath(root)
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, path: str | Path) -> str:
        """The name of a file, without suffix and always the same; of one outside the root, its whole path."""
        path = os.path.abspath(path)
        if path not in self._names:
            whole = PurePath(path).with_suffix('')
            inside = whole.is_relative_to(self.root)
            name = whole.relative_to(self.root if inside else whole.anchor).as_posix()
            self._names[path] = unique(name, self._taken)
        return self._names[path]


def unique(name: str, taken: set[str]) -> str:
    """The name, or with the first number behind it that makes it new; it is taken then."""
    chosen, number = name, 1
    # A file system may not tell a.png from A.png.
    while chosen.lower() in taken:
        number += 1
        chosen = f'{name}_{number}'
    taken.add(chosen.lower())
    return chosen


def from_here(path: str | os.PathLike[str]) -> str:
    """A path from the current folder, if it is in there; any other, and an address, as it is."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else os.fspath(path)


def machine() -> str:
    """Eight digits for this machine and its table of processes, of which containers have their own."""
    try:
        table = os.readlink('/proc/self/ns/pid')
    except OSError:
        table = ''
    return f'{zlib.crc32(f"{platform.node()} {table}".encode()):08x}'


def is_alive(process: int) -> bool:
    # Elsewhere signal 0 would end the process.
    if os.name != 'posix':
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sweep(folder: Path) -> None:
    """Remove abandoned drafts, once for each folder that this process writes to."""
    if folder in _swept:
        return
    _swept.add(folder)
    for draft in drafts_in(folder):
        # Others may remove it at the same time, or own it in a folder that many share.
        with suppress(OSError):
            if is_abandoned(draft):
                _remove(draft)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lock(file: BinaryIO) -> None:
    """Wait until no other process has the file locked, and lock it until it is closed."""
    if os.name == 'posix':
        import fcntl

        # Some network file systems have no locks; a line may then begin behind an empty one.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
