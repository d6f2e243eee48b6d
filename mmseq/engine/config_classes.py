"""The classes behind the types of a config, and their arguments with defaults, without building anything."""

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.registry import Registry


def class_of(registry: Registry, node: Mapping[str, Any]) -> type | None:
    """The class of a config's type as its builder finds it, in the default scope of the moment; None if none is."""
    wanted = node.get('type')
    if not isinstance(wanted, str):
        return wanted
    with registry.switch_scope_and_registry(node.get('_scope_')) as scoped:
        return scoped.get(wanted)


def bases(cls: type | None) -> set[str]:
    """The names of a class and of all that it inherits from."""
    return {base.__name__ for base in getattr(cls, '__mro__', ())}


def constructor_defaults(cls: type) -> dict[str, Any]:
    """Default arguments of a class and its bases, the nearest first."""
    defaults: dict[str, Any] = {}
    # Any, for mypy warns of constructors that a subclass may have changed: the class itself is meant.
    classes: tuple[Any, ...] = cls.__mro__[:-1]
    for base in reversed(classes):
        for name, parameter in inspect.signature(base.__init__).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                defaults[name] = parameter.default
    return defaults


def arguments(registry: Registry, node: Mapping[str, Any]) -> dict[str, Any]:
    """What a type is built with: its class's defaults under what the config gives."""
    cls = class_of(registry, node)
    return {**(constructor_defaults(cls) if inspect.isclass(cls) else {}), **node}


def as_list(value: Any) -> list[Any]:
    """A list of what a config may give as one or as several; empty for nothing."""
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]
