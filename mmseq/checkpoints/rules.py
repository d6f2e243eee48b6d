"""Declarative key tables: how the names of a published checkpoint become ours, with nothing left unexplained.

A table is a list of layouts; a layout is a list of rules, of which the first that matches a key decides. A key that
no rule matches, a model tensor that no key provides, and a shape that differs are errors, each listed by name.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

Fields = dict[str, str]


def template_regex(template: str) -> re.Pattern[str]:
    """``stages.{stage}.blocks.{block}.{rest}`` as a pattern: ``rest`` matches anything, other fields a number."""
    parts = re.split(r'\{(\w+)\}', template)
    pattern = ''
    for i, part in enumerate(parts):
        pattern += (rf'(?P<{part}>.+)' if part == 'rest' else rf'(?P<{part}>\d+)') if i % 2 else re.escape(part)
    return re.compile(pattern)


def next_stage(fields: Fields) -> Fields:
    """For publishers who keep what joins two stages as the last item of the earlier one; we have it in the later."""
    return {**fields, 'stage': str(int(fields['stage']) + 1)}


@dataclass(frozen=True)
class Rename:
    """A source key becomes a target key.

    Args:
        source: template of the source's key.
        target: template of ours, filled with the source's fields.
        fields: computes the target's fields where they are not the source's own.
        tensor: computes the target's tensor where it is not the source's own.
    """

    source: str
    target: str
    fields: Callable[[Fields], Fields] = dict
    tensor: Callable[[Tensor], Tensor] | None = None

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return template_regex(self.source)

    def apply(self, match: re.Match[str]) -> str:
        return self.target.format(**self.fields(match.groupdict()))


@dataclass(frozen=True)
class Drop:
    """A source key that is left out on purpose."""

    source: str
    why: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return template_regex(self.source)


@dataclass(frozen=True)
class Layout:
    """How one publisher names a family's tensors.

    Args:
        name: for reports, for example ``timm``.
        mark: a key that every file of this layout holds and files of the family's other layouts do not.
        rules: first match decides.
        without: a key that no file of this layout holds, where another family's files hold the mark too.
    """

    name: str
    mark: str
    rules: tuple[Rename | Drop, ...]
    without: str | None = None


@dataclass(frozen=True)
class Family:
    """All layouts in which a family's weights are found; ``ours`` among them."""

    name: str
    layouts: tuple[Layout, ...]

    def find_layout(self, keys: Iterable[str]) -> Layout | None:
        """The layout that the keys tell: its mark is among them, and what it is ``without`` is not."""
        keys = set(keys)
        fitting = (layout for layout in self.layouts if layout.mark in keys and layout.without not in keys)
        return next(fitting, None)


@dataclass
class Renamed:
    """A state dict in our names, and what became of every source key."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)


def rename(source: Mapping[str, Tensor], layout: Layout) -> Renamed:
    """Apply a layout's rules to every key. Two keys that meet in one target are reported as unexplained."""
    result = Renamed()
    for key, tensor in source.items():
        rule, match = next(
            ((rule, match) for rule in layout.rules if (match := rule.pattern.fullmatch(key))), (None, None)
        )
        if isinstance(rule, Drop):
            result.dropped[key] = rule.why
            continue
        target = rule.apply(match) if rule else None
        if target is None or target in result.tensors:
            result.unexplained.append(key)
        else:
            result.tensors[target] = rule.tensor(tensor) if rule.tensor else tensor
    return result
