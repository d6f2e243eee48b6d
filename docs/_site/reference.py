"""The reference: every public module of a package, walked and not listed, so that none can be forgotten."""

import importlib
import inspect
import pkgutil
from types import ModuleType


def markdown(name: str) -> str:
    """A section for the names that a package (or module) exports, and one for each module that has more."""
    package = importlib.import_module(name)
    public = getattr(package, '__all__', ())
    exported = [getattr(package, item) for item in public]
    sections = [section(package, exported)] if exported or not hasattr(package, '__path__') else []
    for info in pkgutil.walk_packages(getattr(package, '__path__', ()), f'{name}.'):
        module = importlib.import_module(info.name)
        names = [item for item, value in own(module).items() if not any(value is other for other in exported)]
        if names:
            sections.append(section(module, names, indexed=info.name.rpartition('.')[2] not in public))
    return '\n'.join(sections)


def own(module: ModuleType) -> dict[str, object]:
    """The public classes and functions with a docstring that are defined in a module."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith('_')
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
        and value.__doc__
    }


def section(module: ModuleType, names: list, indexed: bool = True) -> str:
    """Heading and autodoc directive for the exports of a package, or for these names of a module.

    A module that is called like a function of its package is left out of the index, where the function stands.
    """
    exports = hasattr(module, '__all__')
    members = '   :members:\n   :imported-members:' if exports else f'   :members: {", ".join(names)}'
    return (
        f'## `{module.__name__}`\n\n```{{eval-rst}}\n.. automodule:: {module.__name__}\n{members}\n'
        f'   :show-inheritance:\n{"" if indexed else "   :no-index:"}\n```\n'
    )
