"""A config file, read, overridden, checked and fitted to this machine."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from mmseq.compat import shipped_configs, versions
from mmseq.errors import InputError
from mmseq.nested import walk
from mmseq.ranks import is_first_process, world_size

# What mmengine's Runner reads from the top level of a config, beside what the config itself defines.
RUNNER_KEYS = frozenset(
    (
        'work_dir',
        'load_from',
        'resume',
        'launcher',
        'randomness',
        'custom_hooks',
        'visualizer',
        'auto_scale_lr',
        'log_level',
        'log_processor',
        'default_hooks',
        'env_cfg',
        'model_wrapper_cfg',
        'find_unused_parameters',
        'default_scope',
        'experiment_name',
    )
)


def read_config(path: str, options: Mapping[str, Any]) -> Config:
    """Read a config and override it.

    Args:
        path: of the config, or ``mmseq::NAME`` for one that comes with mmseq.
        options: dotted keys and values that override it.

    Raises:
        InputError: packages that do not fit, no such file, a file that is no config, or an option for nothing in it.
    """
    versions.require()
    path = config_file(path)
    try:
        cfg = Config.fromfile(path)
    except (SyntaxError, NameError, KeyError, TypeError, OSError, ImportError, ValueError, RuntimeError) as error:
        raise InputError(f'config {path}: {type(error).__name__}: {first_line(error)}') from error
    for key in options:
        check_option(cfg, key, path)
    cfg.merge_from_dict(dict(options))
    return cfg


def load_config(path: str, options: Mapping[str, Any], work_dir: str | None, seed: int | None, launcher: str) -> Config:
    """Read the config of a model, override it and fit it to this machine.

    Raises:
        InputError: as :func:`read_config`, or it defines no model.
    """
    cfg = read_config(path, options)
    if 'model' not in cfg:
        raise InputError(f'config {path}: defines no model; name a config of configs/, not one of its parts')
    cfg.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(cfg.filename).stem)
    if seed is not None:
        cfg.setdefault('randomness', ConfigDict())
        cfg.randomness.seed = seed
    cfg.launcher = launcher
    fit_to_machine(cfg)
    return cfg


def check_option(cfg: Config, key: str, path: str) -> None:
    """Refuse an option whose way leads through nothing that the config defines.

    A new last key is let pass only where it is an argument of a class, which itself refuses what it does not know.
    """
    node: Any = cfg
    parts = key.split('.')
    for depth, part in enumerate(parts):
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                raise InputError(f'config {path}: option {key}: {part!r} is no index of a list of {len(node)}')
            node = node[int(part)]
            continue
        if not isinstance(node, Mapping) and node is not cfg:
            return
        known = set(node.keys()) | (RUNNER_KEYS if node is cfg else set())
        # An empty dict is one that an option before this one has made.
        open_end = depth == len(parts) - 1 and node is not cfg and ('type' in node or not node)
        if part not in known and not open_end:
            near = get_close_matches(part, sorted(known), 3) or sorted(known)[:8]
            where = '.'.join(parts[:depth]) or 'the config'
            raise InputError(f'config {path}: option {key}: {where} has no {part!r}; nearest: {", ".join(near)}')
        if node.get(part) is None and depth < len(parts) - 1:
            # A way through None, as from init_cfg=None to init_cfg.checkpoint, makes a new dict.
            node[part] = ConfigDict()
            return
        node = node.get(part)


def fit_to_machine(cfg: Config) -> None:
    """Choose the communication backend and the batch norm that work here, and say so."""
    if not torch.cuda.is_available():
        cfg.setdefault('env_cfg', ConfigDict())
        cfg.env_cfg.dist_cfg = dict(cfg.env_cfg.get('dist_cfg') or {}, backend='gloo')
        cfg.setdefault('model_wrapper_cfg', ConfigDict(type='MMDistributedDataParallel', broadcast_buffers=False))
        # mmengine hands every wrapper a device index, which torch refuses for a model on the CPU.
        cfg.model_wrapper_cfg.setdefault('device_ids', None)
    if torch.cuda.is_available() and world_size() > 1:
        return
    replaced = 0
    for node in walk(cfg._cfg_dict):
        if node.get('type') == 'SyncBN':
            node['type'] = 'BN'
            replaced += 1
    if replaced and world_size() > 1:
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='mmseq.SharedStatisticsHook')]
    if replaced and is_first_process():
        print_log(f'SyncBN becomes BN in {replaced} places: it needs more than one process and GPUs', logger='current')


def nearest_types(message: str) -> str:
    """The registered names that are like the one in a registry's complaint."""
    from mmengine import registry

    match = re.search(r"'?\"?([\w.]+) is not in the \w+::([\w ]+) registry", message)
    if not match:
        return ''
    names: set[str] = set()
    for value in vars(registry).values():
        if isinstance(value, registry.Registry) and value.name == match[2]:
            names |= set(value.module_dict)
            for scope, child in value.children.items():
                names |= {f'{scope}.{name}' for name in child.module_dict}
    short = {name.rpartition('.')[2]: name for name in sorted(names)}
    near = get_close_matches(match[1].rpartition('.')[2], short, 3, cutoff=0.5)
    return f'; nearest: {", ".join(short[name] for name in near)}' if near else ''


def config_file(path: str) -> str:
    """The file of a config: of its path, or of ``mmseq::NAME`` for one that comes with mmseq.

    Raises:
        InputError: there is no such file.
    """
    if path.startswith(shipped_configs.PREFIX):
        path, name = str(shipped_configs.locate(path)), path
        if not os.path.isfile(path):
            raise InputError(f'config {name}: no such file: {path}; mmseq configs lists them')
    if os.path.isfile(path):
        return path
    shipped = shipped_configs.locate(Path(path).name)
    advice = f'; the one that comes with mmseq is mmseq::{shipped.stem}' if shipped.is_file() else ''
    raise InputError(f'config {path}: no such file{advice}')


def existing_file(path: str, what: str) -> str:
    """The path, if it is a file.

    Raises:
        InputError: it is not.
    """
    if not os.path.isfile(path):
        raise InputError(f'{what} {path}: no such file')
    return path


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without a KeyError's quotes and without links to manuals."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    text = text.splitlines() or [type(error).__name__]
    return re.split(r'\. (?:More details|Please check)', text[0])[0]
