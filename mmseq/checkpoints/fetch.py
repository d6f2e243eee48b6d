"""From the name of a checkpoint to a local file: a path, https://, hf://, timm:// or mmseq://.

    FILE                          any local file
    FOLDER                        the best checkpoint of a work dir, else its last one; a published model's weights
    https://host/path/FILE        kept in torch hub's directory (TORCH_HOME moves it)
    hf://OWNER/NAME[@REV]/FILE    a file of a repository on the Hugging Face hub, kept in its cache (HF_HOME moves it)
    hf://OWNER/NAME[@REV]         the weights of the model that was published there
    timm://NAME[.TAG]             the weights of a timm model on that hub
    mmseq://NAME                  weights that ship with the package; NAME alone where there is no such file

What is kept is taken without asking the network. A hub's file is the version that was downloaded first; a revision
after ``@`` pins it.
"""

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlparse

import torch

from mmseq.addresses import public
from mmseq.checkpoints.digest import digest_in_name, file_sha256
from mmseq.checkpoints.download import DownloadError, check, download, recorded_digest
from mmseq.checkpoints.folder import WEIGHTS, choose_checkpoint
from mmseq.checkpoints.published import UNKNOWN, find_published, published
from mmseq.checkpoints.zoo import SCHEME, is_shipped, shipped_file
from mmseq.errors import InputError

HELP = (
    'or name a local file with --cfg-options model.backbone.init_cfg.checkpoint=FILE, or train from random weights '
    'with model.backbone.init_cfg=None'
)
HUB_FILE = re.compile(r'(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?(?:/(?P<file>.+))?')
PIECE = re.compile(r'[^\\?#]*[^\\?#.][^\\?#]*')
"""Of an address on the hub: no ``..``, which would lead out of the cache, and nothing that servers take for more."""
HUB_WEIGHTS = (WEIGHTS, 'pytorch_model.bin')
"""What the weights are called in a repository of one model, timm's among them."""
SUFFIXES = ('.safetensors', '.pth', '.pt', '.bin', '.th')
"""Of files of weights."""


def is_checkpoint(name: str) -> bool:
    """Whether a name is an address or a file of weights, by how it is written."""
    return bool(re.match(r'\w+://', name)) or name.endswith(SUFFIXES)


def locate(name: str | os.PathLike[str]) -> Path:
    """A local file for a path or an address; see this file's docstring.

    Raises:
        InputError: there is no such file, it cannot be downloaded, or it is not the one that is expected.
    """
    name = os.fspath(name)
    scheme, separator, rest = name.partition('://')
    if not separator:
        path = Path(name).expanduser()
        if path.is_dir():
            return choose_checkpoint(path)[0]
        if path.is_file():
            return path
        if is_shipped(name):
            return shipped_file(name)
        raise InputError(
            f'checkpoint {name}: no such file; give a local file, a work dir or an address: https://HOST/FILE, '
            'hf://OWNER/NAME, hf://OWNER/NAME/FILE, timm://NAME or mmseq://NAME'
        )
    if scheme == 'https':
        if not re.fullmatch(r'[^\s/?#\[\]]+(/[^\s]*)?', rest):
            raise InputError(f'checkpoint {public(name)}: expected https://HOST/FILE')
        return from_web(name)
    if scheme == 'hf':
        match = HUB_FILE.fullmatch(rest)
        if not match or not all(PIECE.fullmatch(piece) for piece in rest.split('/')):
            raise InputError(
                f'checkpoint {public(name)}: expected hf://OWNER/NAME or hf://OWNER/NAME/FILE, with @REVISION after '
                'NAME if need be'
            )
        return from_hub(name, match['repo'], (match['file'],) if match['file'] else HUB_WEIGHTS, match['revision'])
    if scheme == 'timm':
        return from_hub(name, f'timm/{full_timm_name(rest)}', HUB_WEIGHTS)
    if scheme == SCHEME:
        return shipped_file(rest)
    raise InputError(
        f'checkpoint {public(name)}: {scheme}:// is not known; give a local file, https://, hf://, timm:// or mmseq://'
    )


def from_web(address: str) -> Path:
    """The file at an address, downloaded once.

    Raises:
        InputError: it cannot be had, or is not the expected one.
    """
    target, digest = web_cache(address), known_digest(address)
    try:
        if not target.exists():
            download(address, target, digest)
        check(target, digest)
    except DownloadError as error:
        expected = digest or recorded_digest(target) or 'unknown (none is published)'
        raise InputError(
            f'checkpoint {public(address)}: {error}. File {target.name}, expected sha256 {expected}, cache {target}. '
            f'Put the file there, {HELP}'
        ) from error
    return target


def web_cache(address: str) -> Path:
    """Where the file at an address is stored: in torch hub's folder if its name has a digest, else apart.

    Whatever other programs put into that folder under a name without a digest may be anything.
    """
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    name = re.sub(r'[^\w.+-]', '_', Path(unquote(urlparse(address).path)).name).strip('.') or 'weights'
    if digest_in_name(name):
        return folder / name
    return folder / hashlib.sha256(address.encode()).hexdigest()[:8] / name


def known_digest(address: str) -> str | None:
    """The sha256 that the table or the file's own name promises, whole or its first digits."""
    row = find_published(address)
    if row and row.sha256 != UNKNOWN:
        return row.sha256
    return digest_in_name(urlparse(address).path)


def full_timm_name(name: str) -> str:
    """``sequencer2d_s`` to ``sequencer2d_s.in1k``, by the table; a name with a tag stays as it is.

    Raises:
        InputError: a name without a tag that the table does not hold once.
    """
    if re.fullmatch(r'[\w-]+\.[\w.-]+', name):
        return name
    known = [row.address.removeprefix('timm://') for row in published() if row.address.startswith('timm://')]
    fitting = [full for full in known if full.split('.')[0] == name]
    if len(fitting) != 1:
        raise InputError(f'checkpoint timm://{name}: expected timm://NAME.TAG; known are {", ".join(known)}')
    return fitting[0]


def from_hub(name: str, repo: str, files: tuple[str, ...], revision: str | None = None) -> Path:
    """The first of ``files`` that a repository on the Hugging Face hub holds, from its cache if it is there.

    Raises:
        InputError: none can be had, or it is damaged.
    """
    # Loaded where it is used: training from local files must not wait for it.
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    failure: Exception | None = None
    # The cache answers at once; the hub's own call asks the network first, for half a minute where there is none.
    attempts = [(file, local) for local in (True, False) for file in files]
    for file, local in attempts[: len(files) if constants.HF_HUB_OFFLINE else None]:
        try:
            path = Path(hf_hub_download(repo, file, revision=revision, local_files_only=local))
        except (OSError, EntryNotFoundError, ValueError) as error:
            failure = error
            absent = isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError)
            if not (local or absent):
                # No matter of the file's name: another one would fail the same way, and as slowly.
                break
        else:
            verify_hub_file(name, path)
            return path
    offline = ' (HF_HUB_OFFLINE is set)' if constants.HF_HUB_OFFLINE else ''
    reason = str(failure).strip().partition('\n')[0].rstrip('.') or type(failure).__name__
    folder = Path(constants.HF_HUB_CACHE) / f'models--{repo.replace("/", "--")}'
    row = find_published(name)
    raise InputError(
        f'checkpoint {public(name)}: {reason}{offline}. File {" or ".join(files)} of {repo}, expected sha256 '
        f'{row.sha256 if row and row.sha256 != UNKNOWN else "unknown (none is published)"}, cache {folder}. '
        f'Download it with "hf download {repo}" where there is a network and copy that folder, {HELP}'
    ) from failure


def verify_hub_file(name: str, path: Path) -> None:
    """Compare with the table's digest, and with the one by which the hub's cache names a large file's blob.

    Raises:
        InputError: they differ.
    """
    row, blob = find_published(name), path.resolve().name
    expected = {row.sha256} if row and row.sha256 != UNKNOWN else set()
    expected |= {blob} if re.fullmatch(r'[0-9a-f]{64}', blob) else set()
    if not expected:
        return
    found = file_sha256(path)
    if expected != {found}:
        raise InputError(
            f'checkpoint {public(name)}: {path} has sha256 {found}, expected {" and ".join(sorted(expected))}: it is '
            f'damaged or another file. Delete it to download it again, {HELP}'
        )
