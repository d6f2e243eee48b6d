"""Configs that runs have left, in their work dirs and in their checkpoints: read as values, never run.

A work dir is the user's own: the modules that its config names in ``custom_imports`` are imported. A checkpoint may be
a stranger's, and mmengine calls whatever ``type`` names, be it ``os.system``: a config in a checkpoint may name only
what mmengine, mmdet, mmseg and mmseq have registered, and import nothing else.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseq.addresses import public
from mmseq.checkpoints.fetch import is_checkpoint, locate
from mmseq.checkpoints.folder import WEIGHTS
from mmseq.checkpoints.storage import load_meta
from mmseq.errors import InputError
from mmseq.explain.classes import SCOPES, everything
from mmseq.explain.files import explained
from mmseq.nested import walk

PACKAGES = (*SCOPES, 'mmengine', 'mmcv')
# Registered, but they evaluate text of their config as Python.
EVALUATING = ('CameraMotionCompensation', 'RFSearchHook')
# Files that would be unpickled.
PICKLED = re.compile(r'(?:^|\.)(?:pkl|pickle)$')
# Of a class or a function in a module, and files whose names look alike.
PATH = re.compile(r'[^\W\d]\w*(?:\.[^\W\d]\w*)+')
FILE = re.compile(r'\.(?:json|jsonl|txt|csv|xml|yaml|yml|png|jpg|jpeg|tif|tiff|npy|pth|pt|safetensors)$', re.IGNORECASE)


def named_config(name: str) -> Config | None:
    """The config that a work dir or a checkpoint carries; None if the name is neither's.

    Outputs of whoever uses it go into the work dir; of a checkpoint elsewhere into ``work_dirs/NAME``.

    Args:
        name: a work dir, a folder that was published, a file of weights or an address of one.

    Raises:
        InputError: there is no config in it, or it is more than values; one of a checkpoint is not safe to use.
    """
    if Path(name).is_dir():
        home = training_folder(Path(name))
        found = read_saved_config(home / 'vis_data' / 'config.py') if home else config_in(published(name))
    elif is_checkpoint(name):
        found = config_in(name)
    else:
        return None
    found.work_dir = str(outputs_of(name))
    return found


def published(folder: str) -> str:
    """The weights of a folder that was published.

    Raises:
        InputError: it is none.
    """
    path = Path(folder, WEIGHTS)
    if not path.is_file():
        raise InputError(
            f'folder {folder}: neither a work dir (*/vis_data/config.py, which every run leaves) nor a published model '
            f'({WEIGHTS})'
        )
    return str(path)


def training_folder(folder: Path) -> Path | None:
    """The newest of a work dir's time-stamped folders in which something was trained, else the newest."""
    homes = sorted(path.parents[1] for path in folder.glob('*/vis_data/config.py'))
    trained = [
        home
        for home in homes
        if (scalars := home / 'vis_data' / 'scalars.json').is_file() and '"iter"' in scalars.read_text('utf-8')
    ]
    found = trained or homes
    return found[-1] if found else None


def outputs_of(name: str) -> Path:
    """Where results go that are made with what a name stands for."""
    path = Path(name)
    if '://' not in name:
        for folder in (path, path.absolute().parent):
            if folder.is_dir() and training_folder(folder):
                return folder
    # Without a revision, and without an address's query.
    stem = path.resolve().name if path.is_dir() else public(name).rpartition('/')[2]
    return Path('work_dirs', re.sub(r'(?:@.*|\.\w+)$', '', stem) or 'model')


def read_saved_config(path: Path) -> Config:
    """Read a config as a run left it in its work dir: as values, without running it or importing what it names.

    Raises:
        InputError: it cannot be read, or is more than a list of values.
    """
    with explained(str(path), str(path)):
        return Config(values(path.read_text(encoding='utf-8'), str(path)), filename=str(path))


def is_saved(path: Path) -> bool:
    """Whether a file is the config that a run writes into its work dir."""
    return path.name == 'config.py' and path.parent.name == 'vis_data'


def config_in(name: str) -> Config:
    """The config that a checkpoint carries.

    Raises:
        InputError: it carries none, one that is more than values, or one that would run what is not ours.
    """
    path, shown = locate(name), public(name)
    text = load_meta(path).get('cfg')
    if not isinstance(text, str) or not text:
        raise InputError(
            f'checkpoint {shown}: carries no config; give CONFIG {shown}, with the config that it was trained with'
        )
    with explained(shown, str(path)):
        # With the text given, mmengine does not look into the file for it.
        cfg = Config(values(text, shown), cfg_text=text, filename=str(path))
        check_names(cfg, shown)
    return cfg


def values(text: str, name: str) -> dict[str, Any]:
    """The values of a config as mmengine writes it: names, each with a literal or nested calls of ``dict``.

    Raises:
        InputError: it is no Python, or there is anything else in it, which would have to be run.
    """
    found: dict[str, Any] = {}
    try:
        lines = ast.parse(text).body
    except SyntaxError as error:
        raise InputError(f'config {name}: line {error.lineno}: SyntaxError: {error.msg}') from error
    for line in lines:
        # mmengine writes one name a line; `_base_` would have other files run.
        target = line.targets[0] if isinstance(line, ast.Assign) and len(line.targets) == 1 else None
        if not isinstance(line, ast.Assign) or not isinstance(target, ast.Name) or target.id == '_base_':
            raise _more_than_values(name, line)
        found[target.id] = _value(line.value, name)
    return found


def _value(node: ast.expr, name: str) -> Any:
    """What a literal or a call of ``dict`` stands for."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        named = {pair.arg: _value(pair.value, name) for pair in node.keywords if pair.arg}
        if len(named) == len(node.keywords) and all(isinstance(part, ast.Dict) for part in node.args[:2]):
            return dict(*(_value(part, name) for part in node.args), **named)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key, name): _value(value, name) for key, value in zip(node.keys, node.values) if key}
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(_value(item, name) for item in node.elts)
    # As str() writes a float.
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return float(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Name):
        return -_value(node.operand, name)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise _more_than_values(name, node) from None


def _more_than_values(name: str, node: ast.stmt | ast.expr) -> InputError:
    return InputError(
        f'config {name}: line {node.lineno} is more than a value, and the config that a run left is not run; write '
        'values, or give the config itself'
    )


def check_names(cfg: Config, name: str) -> None:
    """Refuse a config of unknown origin that would have anything run beyond what is registered.

    Raises:
        InputError: it names the first such thing, and what to do.
    """
    found = next(foreign_names(cfg._cfg_dict), None)
    if found is not None:
        raise InputError(
            f'checkpoint {name}: its config names {found}, which may run anything and is not taken from a checkpoint; '
            f'give CONFIG {name}, with a config that you trust'
        )


def foreign_names(tree: dict[str, Any]) -> Iterator[str]:
    """What in a config would import, call, evaluate or unpickle something that is not registered."""
    modules = (tree.get('custom_imports') or {}).get('imports') or []
    for module in [modules] if isinstance(modules, str) else modules:
        if str(module).partition('.')[0] not in PACKAGES or '__main__' in str(module):
            yield f'custom_imports {module!r}'
    # Of mmengine's own, without the scope.
    registered = {name if '.' in name else f'mmengine.{name}' for _, name in everything()}
    for node in walk({key: value for key, value in tree.items() if key != 'custom_imports'}):
        for key, value in node.items():
            for text in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(text, str) and is_foreign(key, text, registered):
                    yield f'{key}={text!r:.80}'


def is_foreign(key: Any, text: str, registered: set[str]) -> bool:
    """Whether a text at a key of a config makes upstream run something that is not registered."""
    if key in ('_scope_', 'default_scope'):
        return text not in PACKAGES
    if PICKLED.search(text) or text.rpartition('.')[2] in EVALUATING:
        return True
    # Not under `type` alone: resize_type and constructor are names of classes, too.
    if PATH.fullmatch(text):
        return text not in registered and not FILE.search(text) and is_module(text.partition('.')[0])
    if key != 'type':
        return False
    # Of a type that is not registered mmengine imports the module of that name.
    return not text.isidentifier() or (text not in {name.partition('.')[2] for name in registered} and is_module(text))


def is_module(name: str) -> bool:
    """Whether importing a name would run a file."""
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None
