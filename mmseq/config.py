"""A config file, read, overridden and checked."""

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.logging import print_log
from mmengine.utils import import_modules_from_strings

from mmseq.compat import shipped_configs, versions
from mmseq.errors import InputError, first_line
from mmseq.explain import files
from mmseq.explain.files import explained
from mmseq.nested import walk
from mmseq.options import check_option
from mmseq.ranks import is_first_process
from mmseq.saved_config import is_saved, named_config, read_saved_config

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
NUMBERS: dict[str, type | tuple[type, ...]] = {
    **{f'{loader}.{key}': int for loader in LOADERS for key in ('batch_size', 'num_workers')},
    **{f'train_cfg.{key}': int for key in ('max_iters', 'max_epochs', 'val_interval')},
    **{f'optim_wrapper.{key}': (int, float) for key in ('optimizer.lr', 'optimizer.weight_decay')},
    'optim_wrapper.accumulative_counts': int,
}
# Gets a config as it was read from its file, and the options that will override it.
Change = Callable[[Config, Mapping[str, Any]], None]


def read_config(path: str, options: Mapping[str, Any], change: Change | None = None) -> Config:
    """Read a config and override it. A config is a program and is run, but for those that a run has left behind.

    Args:
        path: of the config, ``mmseq::NAME`` for one that comes with mmseq, or ``mmdet::NAME`` and
            ``mmseg::NAME``, also as ``FOLDER/NAME.py``, for one of upstream's; a work
            dir, or a checkpoint or its address, stands for the config that it carries.
        options: dotted keys and values that override it.
        change: what is changed in it before that.

    Raises:
        InputError: packages that do not fit, no such file, a file that is no config, or an option for nothing in it.
    """
    versions.require()
    cfg = read_named(path)
    if change:
        change(cfg, options)
    for key, value in options.items():
        check_option(cfg, key, value, path)
    try:
        cfg.merge_from_dict(dict(options))
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f'config {path}: options {", ".join(options)}: {first_line(error)}') from error
    return cfg


def read_named(path: str) -> Config:
    """The config of a name; see :func:`read_config`."""
    cfg = named_config(path)
    if cfg is None:
        file = config_file(path)
        if not is_saved(Path(file)):
            with explained(path, file):
                return Config.fromfile(file)
        cfg = read_saved_config(Path(file))
    if cfg.get('custom_imports'):
        with explained(path, str(cfg.filename)):
            import_modules_from_strings(**cfg.custom_imports)
    return cfg


def read_model_config(path: str, options: Mapping[str, Any], change: Change | None = None) -> Config:
    """Read the config of a model, override it and check it.

    Raises:
        InputError: as :func:`read_config`, it defines no model, or its scope or a number cannot be right.
    """
    cfg = read_config(path, options, change)
    if not isinstance(cfg.get('model'), Mapping):
        raise InputError(f'config {path}: defines no model; name a config of configs/, not one of its parts')
    check_scope(cfg, path)
    check_numbers(cfg, path)
    return cfg


def load_config(
    path: str, options: Mapping[str, Any], work_dir: str | None = None, change: Change | None = None
) -> Config:
    """The config of a model for all that is no run: read, overridden, checked, with plain norms and its work dir.

    Raises:
        InputError: as :func:`read_model_config`.
    """
    cfg = read_model_config(path, options, change)
    cfg.work_dir = work_dir_of(cfg, work_dir)
    replace_synchronised_norms(cfg)
    return cfg


def work_dir_of(cfg: Config, work_dir: str | None) -> str:
    """Where outputs go: as asked for, as the config says, or ``work_dirs/<config name>``."""
    return work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(cfg.filename).stem)


def check_scope(cfg: Config, path: str) -> None:
    """Refuse a default scope that is no package: mmengine goes on with the types that it happens to find."""
    scope = cfg.get('default_scope') or 'mmengine'
    if find_spec(scope) is None:
        raise InputError(f'config {path}: default_scope={scope}: there is no such package; expected mmdet or mmseg')


def check_numbers(cfg: Config, path: str) -> None:
    """Refuse text where a run counts or computes, which would be found out in the middle of it."""
    for key, kind in NUMBERS.items():
        node: Any = cfg
        for part in key.split('.'):
            node = node.get(part) if isinstance(node, (Mapping, Config)) else None
        if node is not None and not isinstance(node, kind):
            expected = 'a whole number' if kind is int else 'a number'
            raise InputError(f'config {path}: {key}={node!r}: expected {expected}')


def replace_synchronised_norms(cfg: Config) -> int:
    """Take BN for SyncBN, which needs more than one process and GPUs; gives the number of places, and logs it."""
    found = [node for node in walk(cfg._cfg_dict) if node.get('type') == 'SyncBN']
    for node in found:
        node['type'] = 'BN'
    if found and is_first_process():
        print_log(f'SyncBN becomes BN in {len(found)} places: it needs more than one process and GPUs', 'current')
    return len(found)


def qualified(node: dict[str, Any], scope: str) -> str:
    """The type in a dict as ``package.Name``; a config may also name it alone, by its module, or give the class."""
    kind = node.get('type') or ''
    if isinstance(kind, type):
        kind = f'{kind.__module__}.{kind.__name__}'
    package, dot, _ = kind.partition('.')
    return f'{package if dot else node.get("_scope_") or scope}.{kind.rpartition(".")[2]}'


def read_metainfo(metainfo: Mapping[str, Any] | None) -> dict[str, Any]:
    """A data set's ``metainfo`` as its class reads it: the name of a file gives the file's lines.

    Raises:
        InputError: ``classes`` is the name of a file that is not there, where upstream takes each letter for a class,
            of one that is no UTF-8, or of one with a line that is no name.
    """
    found = dict(metainfo or {})
    for key, value in found.items():
        # Other keys may be any text, as palette='random'.
        if key == 'classes' and isinstance(value, str):
            found[key] = class_lines(value)
        elif isinstance(value, str) and os.path.isfile(value):
            found[key] = list_from_file(value)
    return found


def class_lines(file: str) -> list[str]:
    """The names in a file, one a line.

    Raises:
        InputError: it cannot be read, or has a line that upstream would take for another name than is seen there.
    """
    say = f'config: metainfo.classes={file!r}'
    try:
        names: list[str] = list_from_file(file)
    except FileNotFoundError as error:
        raise InputError(
            f'{say}: no such file; give the names as a tuple, or a file with a name in each line'
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'{say}: {first_line(error)}; save it as UTF-8 text, a name in each line') from error
    if names and names[0].startswith('\ufeff'):
        raise InputError(f'{say}: begins with a byte order mark, which would belong to a name; save it without BOM')
    empty = [i for i, name in enumerate(names, 1) if not name.strip()]
    if empty:
        raise InputError(
            f'{say}: line {empty[0]} is empty, and would be a class without a name; '
            f'delete {"it" if len(empty) == 1 else f"the {len(empty)} empty lines"}'
        )
    return names


def config_file(path: str) -> str:
    """The file of a config: its path, ``mmseq::NAME`` or NAME, or upstream's ``mmdet::NAME`` with or without folder.

    Raises:
        InputError: there is no such file.
    """
    if path.startswith(shipped_configs.PREFIX):
        path, name = str(shipped_configs.locate(path)), path
        if not os.path.isfile(path):
            raise InputError(f'config {name}: no such file: {path}; mmseq configs lists them')
    if os.path.isfile(path):
        return path
    if '::' in path:
        try:
            return shipped_configs.upstream(path)
        except InputError:
            raise
        except files.UNREADABLE as error:
            raise InputError(f'config {path}: {files.explain(error, path).removeprefix("_base_: ")}') from error
    shipped = shipped_configs.locate(Path(path).name)
    if path == shipped.stem and shipped.is_file():
        return str(shipped)
    advice = f'; the one that comes with mmseq is mmseq::{shipped.stem}' if shipped.is_file() else ''
    raise InputError(f'config {path}: no such file, work dir or checkpoint{advice}')


def existing_file(path: str, what: str) -> str:
    """The path, if it is a file.

    Raises:
        InputError: it is not.
    """
    if not os.path.isfile(path):
        raise InputError(f'{what} {path}: no such file')
    return path
