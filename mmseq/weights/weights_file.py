"""Files of weights alone, with their origin in the metadata."""

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from torch import Tensor

from mmseq import __version__
from mmseq.checkpoints.digest import TENSORS_DIGEST, digest_in_name, file_sha256, tensors_sha256
from mmseq.checkpoints.fetch import SUFFIXES
from mmseq.checkpoints.storage import save_file
from mmseq.errors import InputError


def check_target(path: str | os.PathLike[str], sources: tuple[str | os.PathLike[str], ...]) -> Path:
    """The path, if weights can be written there without harm.

    Raises:
        InputError: a suffix of no kind of weights, one of the sources itself, or a name that promises a digest.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise InputError(f'output {path}: its suffix is none of weights; use one of {", ".join(SUFFIXES)}')
    if path.is_dir():
        raise InputError(f'output {path}: is a directory; name a file in it')
    if any(path.exists() and os.path.exists(source) and os.path.samefile(path, source) for source in sources):
        raise InputError(f'output {path}: is the source itself; name another file')
    if digest_in_name(path.name):
        raise InputError(f'output {path}: ends like a digest; mmseq publish gives such names')
    return path


def origin(**facts: str) -> dict[str, str]:
    """What is written beside weights: the given facts, the version of this package and the date."""
    return {**facts, 'mmseq': __version__, 'date': datetime.now(timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')}


def save_weights(
    tensors: Mapping[str, Tensor], path: Path, facts: Mapping[str, str], wrapper: str = 'state_dict'
) -> str:
    """Write tensors, facts and the digest of the tensors; returns the sha256 of the file.

    A `.safetensors` file has the facts as its metadata, any other under ``meta``, with the tensors under ``wrapper``.
    """
    facts = {**facts, TENSORS_DIGEST: tensors_sha256(tensors)}
    if path.suffix == '.safetensors':
        save_file(tensors, path, facts)
    else:
        # Cloned, because torch.save writes the whole of a storage for the smallest view into it.
        cloned = {key: tensor.detach().clone() for key, tensor in tensors.items()}
        save_file({wrapper: cloned, 'meta': facts}, path)
    return file_sha256(path)
