"""Looking through nested configs."""

from collections.abc import Iterator
from typing import Any


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Every dict within nested dicts, lists and tuples, the outer ones first."""
    for _, item in walk_named(node):
        yield item


def walk_named(node: Any, key: str = '') -> Iterator[tuple[str, dict[str, Any]]]:
    """Every dict within nested dicts, lists and tuples with its dotted key, the outer ones first."""
    if isinstance(node, dict):
        yield key, node
        items = list(node.items())
    else:
        items = list(enumerate(node)) if isinstance(node, (list, tuple)) else []
    for name, item in items:
        yield from walk_named(item, f'{key}.{name}' if key else str(name))
