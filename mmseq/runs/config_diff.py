"""What differs between two configs, entry by entry, and what a config's bases say without it."""

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmseq.config import existing_file
from mmseq.explain.files import explained
from mmseq.nested import walk


class Absent(Enum):
    """The value of an entry that a config does not have; None is a value."""

    ABSENT = 'absent'

    def __repr__(self) -> str:
        return 'absent'


ABSENT = Absent.ABSENT
# What mmengine writes into each dict of a base of another package.
SCOPE = '_scope_'


@dataclass(frozen=True)
class Change:
    """One entry that differs.

    Args:
        key: dotted, with indices for list items, as ``--cfg-options`` takes it.
        old: the value before, or ``ABSENT``.
        new: the value after, or ``ABSENT``.
    """

    key: str
    old: Any
    new: Any

    @property
    def kind(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        if self.old is ABSENT:
            return 'added'
        return 'removed' if self.new is ABSENT else 'changed'


def difference(old: Mapping[str, Any] | Config, new: Mapping[str, Any] | Config) -> list[Change]:
    """The entries in which two nested configs differ, in the order of the new one, removed ones last in each dict.

    Dicts of one ``type`` are compared entry by entry; of different types they are one change, since equal names mean
    different arguments there. Lists of dicts, such as pipelines and hooks, are aligned first, so that a step more is
    one addition; an index counts in the new list, for removed items in the old one. Tuples equal lists.
    """
    # a Config is no mapping
    old, new = (config.to_dict() if isinstance(config, Config) else config for config in (old, new))
    return list(_walk('', old, new))


def _walk(key: str, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping) and _comparable(old, new):
        for name in (*new, *(name for name in old if name not in new)):
            if name == SCOPE and not (name in old and name in new):
                continue
            yield from _walk(f'{key}.{name}' if key else str(name), old.get(name, ABSENT), new.get(name, ABSENT))
    elif _nested(old) and _nested(new):
        yield from _walk_lists(key, old, new)
    elif plain(old) != plain(new):
        yield Change(key, old, new)


def _comparable(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return 'type' not in old or 'type' not in new or old['type'] == new['type']


def _walk_lists(key: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Change]:
    matcher = SequenceMatcher(None, [repr(plain(item)) for item in old], [repr(plain(item)) for item in new], False)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == 'equal':
            continue
        # what stands at the same place, the rest is added or removed
        pairs = min(old_to - old_from, new_to - new_from)
        for i in range(pairs):
            yield from _walk(f'{key}.{new_from + i}', old[old_from + i], new[new_from + i])
        yield from (Change(f'{key}.{i}', ABSENT, new[i]) for i in range(new_from + pairs, new_to))
        yield from (Change(f'{key}.{i}', old[i], ABSENT) for i in range(old_from + pairs, old_to))


def _nested(value: Any) -> bool:
    """A list with dicts in it, at any depth of lists; others are values as a whole."""
    if not isinstance(value, (list, tuple)):
        return False
    return any(isinstance(item, Mapping) or _nested(item) for item in value)


def plain(value: Any) -> Any:
    """The value with dicts and lists of Python's own kinds, as in files, and without scopes: tuples become lists."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if key != SCOPE}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def read_by_runner(config: Config) -> dict[str, Any]:
    """The entries that make the training: those that mmengine's Runner takes, without variables of config files.

    A variable, such as a pipeline, stands in the entry that it was put into, too. Scopes, which upstream's files write
    into every dict, are left out.
    """
    names = inspect.signature(Runner.__init__).parameters
    found = {name: value for name, value in config.to_dict().items() if name in names}
    for node in walk(found):
        node.pop('_scope_', None)
    return found


def read_bases(path: str | Path) -> Config | None:
    """What the files that a config names in ``_base_`` say together, without the config; None if it names none.

    Raises:
        InputError: no such file, or one that is no config.
    """
    path = Path(existing_file(str(path), 'config'))
    if path.suffix != '.py':
        # A checkpoint carries its config whole.
        return None
    with explained(str(path), str(path)):
        names = base_names(path)
        if not names:
            return None
        # those of other packages, such as mmdet::, are found by their name
        absolute = [name if '::' in name else str((path.parent / name).resolve()) for name in names]
        return Config.fromstring(f'_base_ = {absolute!r}\n', '.py')


def base_names(path: Path) -> list[str]:
    """The names that a Python config gives in ``_base_``, as they stand there."""
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and [getattr(target, 'id', None) for target in node.targets] == ['_base_']:
            value = ast.literal_eval(node.value)
            return [value] if isinstance(value, str) else list(value)
    return []


def among(configs: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """The entries in which several configs differ: dotted key, and the value of each config or ``ABSENT``.

    Types and lists as in :func:`difference`, but lists of dicts that differ in length are given as a whole.
    """
    return list(_walk_all('', list(configs)))


def _walk_all(key: str, values: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    first, *others = values
    if all(isinstance(value, Mapping) for value in values) and all(_comparable(first, other) for other in others):
        for name in dict.fromkeys(name for value in values for name in value):
            below = [value.get(name, ABSENT) for value in values]
            yield from _walk_all(f'{key}.{name}' if key else str(name), below)
    elif all(_nested(value) and len(value) == len(first) for value in values):
        for i, items in enumerate(zip(*values)):
            yield from _walk_all(f'{key}.{i}', list(items))
    elif any(plain(first) != plain(other) for other in others):
        yield key, values
