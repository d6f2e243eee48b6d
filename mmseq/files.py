"""Result files that are either complete or absent, in strict JSON and plain CSV."""

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def jsonable(value: Any) -> Any:
    """The value in JSON's own types: NaN and infinity become None, arrays and tensors become lists.

    Anything without a JSON counterpart is given as its ``str``.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.floating):
        # the shortest decimal of its own precision: 0.81 in float32, not 0.8100000023841858
        return jsonable(float(str(value)))
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    # numpy arrays, numpy scalars and tensors all answer to tolist()
    if hasattr(value, 'tolist'):
        return jsonable(value.tolist())
    return str(value)


def write_text(path: str | Path, text: str) -> Path:
    """Write a file in one step: readers see the old content or the new one, never a part.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # a sibling, since os.replace is atomic only within one file system
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'w', encoding='utf-8', newline='') as file:
            file.write(text)
        # mkstemp gives mode 0600, but results are for the whole group to read
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


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


def append_json_line(path: str | Path, value: Any) -> Path:
    """Append one record to a JSON-lines file, in a single write."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('a', encoding='utf-8') as file:
        file.write(json.dumps(jsonable(value), allow_nan=False) + '\n')
    return path


def _umask() -> int:
    # the only portable way to read the mask is to set it
    mask = os.umask(0)
    os.umask(mask)
    return mask
