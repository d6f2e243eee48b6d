"""Which classes there are: in the registries of all scopes, in packages that are absent, in the user's own files."""

import functools
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmseq.compat.versions import BROKEN_IMPORT

SCOPES = ('mmdet', 'mmseg', 'mmseq')
# Own files are looked through, not whole disks.
MOST_FILES = 20_000
SKIPPED = {'site-packages', 'node_modules', '__pycache__', 'work_dirs', 'build', 'dist'}


@functools.lru_cache(maxsize=1)
def registries() -> tuple[Any, ...]:
    """All registries of mmengine and of the scopes, with everything registered that is where they look."""
    from mmengine import registry

    for scope in SCOPES:
        try:
            importlib.import_module(f'{scope}.registry')
        except BROKEN_IMPORT:
            # Whoever has no mmdet asks for no class of it.
            continue
    found = [value for value in vars(registry).values() if isinstance(value, registry.Registry)]
    for one in found:
        found += [child for child in one.children.values() if child not in found]
    for one in found:
        try:
            one.import_from_location()
        except BROKEN_IMPORT:
            continue
    return tuple(found)


def everything() -> Iterator[tuple[str, str]]:
    """Kind and name, with its scope, of all that is registered."""
    for registry in registries():
        for name in registry.module_dict:
            yield registry.name, name if registry.scope == 'mmengine' else f'{registry.scope}.{name}'


def of_kind(kind: str) -> set[str]:
    """The names of all models, hooks or whatever the kind is, each with the scope that it needs outside of its own."""
    return {name for other, name in everything() if other == kind}


def find(name: Any, default_scope: str = '') -> Callable[..., Any] | None:
    """The class or function of a type in a config, in whatever registry it is; in the default scope first."""
    if callable(name) or not isinstance(name, str):
        return name if callable(name) else None
    scope, _, short = name.rpartition('.')
    found = {registry.scope: registry.module_dict[short] for registry in registries() if short in registry.module_dict}
    if not scope:
        return found.get(default_scope) or next(iter(found.values()), None)
    # A type may also be the path of a class.
    return found.get(scope) or getattr(sys.modules.get(scope), short, None)


def names_of(cls: Callable[..., Any]) -> set[str]:
    """The names of a class and of all that it inherits from, or of a function."""
    return {base.__name__ for base in inspect.getmro(cls)} if inspect.isclass(cls) else {cls.__name__}


def arguments(cls: Callable[..., Any]) -> set[str]:
    """The arguments that a class takes, those that it hands to its bases included."""
    if not inspect.isclass(cls):
        return set(inspect.signature(cls).parameters)
    taken: set[str] = set()
    for base in inspect.getmro(cls)[:-1]:
        if '__init__' not in vars(base):
            continue
        parameters = inspect.signature(vars(base)['__init__']).parameters.values()
        taken |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return taken


def missing_package(prefix: str) -> str | None:
    """What to do about the package of a type, if there is none of that name."""
    from mmengine.config.utils import MODULE2PACKAGE

    package = prefix.partition('.')[0]
    if importlib.util.find_spec(package) is not None:
        return None
    if package in MODULE2PACKAGE:
        return f'{package} is not installed: pip install {MODULE2PACKAGE[package]}'
    return f'there is no package {package} on the path; PYTHONPATH=DIR says where yours is'


def find_source(name: str, config: str) -> str | None:
    """Where a file of the user's defines a class or function of this name, and how to import it."""
    pattern = re.compile(rf'^\s*(?:class|def)\s+{re.escape(name)}\b', re.MULTILINE)
    for root, path in own_files(config):
        if not pattern.search(text_of(path)):
            continue
        module = '.'.join(path.relative_to(root).with_suffix('').parts)
        if module in sys.modules:
            return f'{path} defines it, but does not register it: put @MODELS.register_module() or the like above it'
        start = '' if importable(module) else f', and start with PYTHONPATH={root}'
        return f"{path} defines it: add custom_imports=dict(imports=['{module}']){start}"
    return None


def text_of(path: Path) -> str:
    """The text of a file; nothing of one that may not be read, since it is looked into only in passing."""
    try:
        return path.read_text(encoding='utf-8', errors='replace')
    except OSError:
        return ''


def own_files(config: str) -> Iterator[tuple[Path, Path]]:
    """Python files below the current folder and the config's, with the folder that they are below."""
    seen = 0
    for root in dict.fromkeys((Path.cwd(), Path(config).resolve().parent)):
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith('.') and name not in SKIPPED)
            seen += len(files)
            if seen > MOST_FILES:
                return
            yield from ((root, Path(folder, name)) for name in sorted(files) if name.endswith('.py'))


def importable(module: str) -> bool:
    """Whether Python would find a module."""
    try:
        return importlib.util.find_spec(module) is not None
    except BROKEN_IMPORT:
        # Its package is not there, or is broken.
        return False
