"""Run a function right after a module was imported, without importing it."""

import importlib
import importlib.abc
import importlib.machinery
import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

_callbacks: dict[str, list[Callable[[ModuleType], None]]] = {}
_lock = threading.RLock()
_searching = threading.local()


def when_imported(name: str, callback: Callable[[ModuleType], None]) -> None:
    """Call `callback(module)` after each execution of module `name`: at once if it is loaded, else on its import.

    A reload calls it again, since a reload undoes what the callback did. Registering the same function twice has no
    effect. An exception of the callback makes the import fail with it.
    """
    with _lock:
        callbacks = _callbacks.setdefault(name, [])
        if callback in callbacks:
            return
        callbacks.append(callback)
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
    if name in sys.modules:
        # Not `sys.modules[name]`: another thread may be in the middle of importing it, and this waits for the end.
        callback(importlib.import_module(name))


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the other finders find a module somebody waits for, and puts itself around its loader."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        busy = _searching.__dict__.setdefault('names', set())
        # Two finders of this kind asking each other would never end.
        if name not in _callbacks or name in busy:
            return None
        busy.add(name)
        try:
            spec = _find_with_others(self, name, path, target)
        finally:
            busy.discard(name)
        if spec is not None and hasattr(spec.loader, 'exec_module'):
            spec.loader = _Loader(spec.loader)
        return spec


def _find_with_others(
    asking: _Finder, name: str, path: Sequence[str] | None, target: ModuleType | None
) -> importlib.machinery.ModuleSpec | None:
    for finder in list(sys.meta_path):
        if finder is asking or not hasattr(finder, 'find_spec'):
            continue
        spec = finder.find_spec(name, path, target)
        if spec is not None:
            return spec
    return None


class _Loader(importlib.abc.Loader):
    """The module's own loader in all but one respect: after the module's code come the callbacks."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # From here on the module looks as if nobody had stood between: inspect and pkgutil ask its loader.
        module.__loader__ = self._loader
        module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for callback in list(_callbacks[module.__spec__.name]):
            callback(module)
