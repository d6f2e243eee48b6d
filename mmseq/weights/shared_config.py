"""A run's config as it is published with its weights: without anything of this machine or this run alone."""

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from mmengine.config import Config

from mmseq.addresses import public
from mmseq.nested import walk
from mmseq.saved_config import values

# Of the run that made the weights.
OF_THE_RUN = ('work_dir', 'load_from', 'resume', 'launcher')
ABSOLUTE = re.compile(r'(?:/|~|[A-Za-z]:[\\/])')


def shared_config(text: str, name: str) -> str:
    """The text of a config for others.

    Left out are folders of this machine (of an absolute path its last part stays), what stands for secrets in
    addresses, the weights that the training began with, loggers other than files, and notes of the run.

    Args:
        text: as mmengine writes it.
        name: of the checkpoint that carries it, for messages.

    Raises:
        InputError: it is more than values.
    """
    found = {key: value for key, value in values(text, name).items() if key not in OF_THE_RUN}
    hooks = found.get('custom_hooks') or []
    found['custom_hooks'] = [hook for hook in hooks if hook.get('type') != 'mmseq.RecipeHook']
    if isinstance(found.get('visualizer'), dict):
        found['visualizer']['vis_backends'] = [dict(type='LocalVisBackend')]
    for node in walk(found):
        # A list of them is of random values.
        if isinstance(init := node.get('init_cfg'), dict) and init.get('type') == 'Pretrained':
            node['init_cfg'] = None
    return Config(without_folders(found)).pretty_text


def without_folders(value: Any) -> Any:
    """Values in which an absolute path is its last part, and an address has no secrets."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(without_folders(item) for item in value)
    if not isinstance(value, str):
        return value
    if ABSOLUTE.match(value):
        return (PureWindowsPath if '\\' in value else PurePosixPath)(value).name
    return public(value)
