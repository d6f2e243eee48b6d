"""From what a user names to a flat state dict: paths and addresses."""

import os
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlparse

import torch
from filelock import FileLock
from torch import Tensor

from mmseq.checkpoints.files import load_file
from mmseq.checkpoints.wrappers import unwrap
from mmseq.errors import InputError


def locate(name: str | os.PathLike[str]) -> Path:
    """A local path for a path or an https address; a download is kept in torch hub's cache and taken from there.

    Raises:
        InputError: there is no such file, or it cannot be downloaded.
    """
    name = os.fspath(name)
    if not name.startswith('https://'):
        path = Path(name)
        if '://' in name or not path.is_file():
            raise InputError(f'checkpoint {name}: no such file; give a local file or an https address')
        return path
    cache = Path(torch.hub.get_dir()) / 'checkpoints' / Path(urlparse(name).path).name
    cache.parent.mkdir(parents=True, exist_ok=True)
    # The processes of one machine share the cache: the first downloads, the others wait and find the file.
    with FileLock(f'{cache}.lock'):
        if not cache.exists():
            try:
                torch.hub.download_url_to_file(name, str(cache), progress=True)
            except (URLError, OSError) as error:
                raise InputError(
                    f'cannot download {name} ({error}); put the file at {cache}, or name a local one with '
                    '--cfg-options model.backbone.init_cfg.checkpoint=FILE, or train from random weights with '
                    'model.backbone.init_cfg=None'
                ) from error
    return cache


def read(name: str | os.PathLike[str]) -> tuple[dict[str, Tensor], str]:
    """Locate, open safely and unwrap; see :func:`locate` and :func:`unwrap`."""
    path = locate(name)
    return unwrap(load_file(path), path)
