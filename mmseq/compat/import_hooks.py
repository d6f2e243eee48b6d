"""Act on an import without importing anything: a function after a module, a module in the place of an absent one.

Why not at the start: the modules in question take seconds to load, need mmdet where somebody only has mmseg, and stay
unused by whoever only converts weights: `import mmseq` takes 14 ms (`python -X importtime`), `import mmdet.models` 5 s
of a processor's time. And they are upstream's own: whatever imports them first, a user's script or an upstream tool,
gets them as they should be.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

Action = Callable[[ModuleType], None]

_callbacks: dict[str, list[Action]] = {}
_stand_ins: dict[str, Action] = {}
# The origin of a module that is a stand-in.
STAND_IN = 'stand-in of mmseq'


def when_imported(name: str, callback: Action) -> None:
    """Call `callback(module)` after each execution of module `name`: at once if it is loaded, else on its import.

    A reload calls it again, since a reload undoes what the callback did. Registering the same function twice has no
    effect. An exception of the callback makes the import fail with it.

    Args:
        name: of a module in a package; it is found where the package's path says.
        callback: what to do with the module.
    """
    callbacks = _callbacks.setdefault(name, [])
    if callback in callbacks:
        return
    callbacks.append(callback)
    if not any(isinstance(finder, _HookFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _HookFinder())
    if name in sys.modules:
        # Not `sys.modules[name]`: another thread may be in the middle of importing it, and this waits for the end.
        callback(importlib.import_module(name))


def stand_in(name: str, fill: Action) -> None:
    """Let `import name` find an empty module, filled by `fill(module)`, where nothing of that name is installed.

    Calling it again has no effect.
    """
    _stand_ins.setdefault(name, fill)
    if not any(isinstance(finder, _StandInFinder) for finder in sys.meta_path):
        # At the end, so that the real one wins.
        sys.meta_path.append(_StandInFinder())


class _HookFinder(MetaPathFinder):
    """Finds the modules that somebody waits for as Python does, and adds the callbacks to their execution."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _callbacks:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                for callback in list(_callbacks[name]):
                    callback(module)

            # Of this one loader, which PathFinder has made for this one module: mypy takes it for the class's method.
            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


class _StandInFinder(MetaPathFinder):
    """Finds what has a stand-in."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _stand_ins:
            return None
        is_package = any(other.startswith(f'{name}.') for other in _stand_ins)
        return ModuleSpec(name, _StandInLoader(), origin=STAND_IN, is_package=is_package)


class _StandInLoader(Loader):
    def exec_module(self, module: ModuleType) -> None:
        _stand_ins[module.__name__](module)
