"""A folder to a repository on the Hugging Face hub (``HF_ENDPOINT`` names another one)."""

import re
from pathlib import Path

from mmseq.errors import InputError, first_line

ADDRESS = re.compile(r'hf://(?P<repo>[\w.-]+/[\w.-]+)')
TOKEN = re.compile(r'hf_\w+')


def repository(address: str) -> str:
    """``OWNER/NAME`` of ``hf://OWNER/NAME``.

    Raises:
        InputError: it is another address.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(f'--to {address}: expected hf://OWNER/NAME, or a new folder')
    return match['repo']


def upload(folder: Path, repo: str, private: bool = False) -> str:
    """Upload a folder in one commit; the repository is made if need be.

    Args:
        folder: of the files.
        repo: ``OWNER/NAME``.
        private: of a repository that is made.

    Returns:
        The address of the page.

    Raises:
        InputError: nobody is logged in, the hub refuses, or it cannot be reached.
    """
    # Loaded where it is used, as everywhere.
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    # Whatever client the hub's package is built upon: what the network raises is a base of its own error.
    kinds = [kind for kind in HfHubHTTPError.__mro__ if issubclass(kind, Exception) and kind is not Exception]
    failures: tuple[type[Exception], ...] = (OSError, ValueError, *kinds)
    api = HfApi(library_name='mmseq')
    try:
        page = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message='Publish a model with mmseq')
    except failures as error:
        status = getattr(getattr(error, 'response', None), 'status_code', None)
        advice = '; hf auth login, or HF_TOKEN, with the right to write there' if status in (401, 403) else ''
        raise InputError(f'hf://{repo}: {TOKEN.sub("hf_...", first_line(error))}{advice}') from error
    return str(page)
