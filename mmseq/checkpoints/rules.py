"""Declarative key tables: how the names of a published checkpoint become ours, and ours become theirs.

A table is a list of layouts; a layout is a list of rules, of which the first that matches a key decides. A key that
no rule matches, a model tensor that no key provides, and a shape that differs are errors, each listed by name. Every
rule is written once and read in both directions.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

Fields = dict[str, str]
Depths = tuple[int, ...]
EXACT = 'exact.'
"""Prefix of the tensors, as the source had them, that rounding keeps from being computed from ours."""


_NUMBER = '0|[1-9][0-9]{0,5}'
_BLOCK = re.compile(rf'stages\.({_NUMBER})\.blocks\.({_NUMBER})\.(.+)')


def template_regex(template: str) -> re.Pattern[str]:
    """``stages.{stage}.blocks.{block}.{rest}`` as a pattern: ``rest`` matches anything, other fields a number.

    Numbers are written in one way, so that two keys never are one block: no leading zeros, no digits of other scripts.
    """
    parts = re.split(r'\{(\w+)\}', template)
    pattern = ''
    for i, part in enumerate(parts):
        pattern += (rf'(?P<{part}>.+)' if part == 'rest' else rf'(?P<{part}>{_NUMBER})') if i % 2 else re.escape(part)
    return re.compile(pattern)


@dataclass(frozen=True)
class FieldMap:
    """How the fields of a source's key become those of ours, and back.

    Args:
        there: the target's fields from the source's.
        back: the source's fields from the target's and the number of blocks of every stage.
    """

    there: Callable[[Fields], Fields] = dict
    back: Callable[[Fields, Depths], Fields] = lambda fields, depths: dict(fields)


@dataclass(frozen=True)
class TensorMap:
    """How a source's tensor becomes ours, and back.

    Args:
        there: the target's tensor from the source's.
        back: its inverse.
        rounds: whether the way there and back may change the last bits; where it does, converting keeps the source's.
    """

    there: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]
    rounds: bool = False


def _last_of_previous(fields: Fields, depths: Depths) -> Fields:
    stage = int(fields['stage']) - 1
    # A stage of its own number of blocks cannot be told for what no stage is before.
    block = depths[stage] if 0 <= stage < len(depths) else 0
    return {**fields, 'stage': str(stage), 'block': str(block)}


NEXT_STAGE = FieldMap(lambda fields: {**fields, 'stage': str(int(fields['stage']) + 1)}, _last_of_previous)
"""For publishers who keep what joins two stages as the last item of the earlier one; we have it in the later."""


@dataclass(frozen=True)
class Rename:
    """A source key becomes a target key, and the target key the source's.

    Args:
        source: template of the source's key.
        target: template of ours, filled with the source's fields.
        fields: where the target's fields are not the source's own.
        tensor: where the target's tensor is not the source's own.
    """

    source: str
    target: str
    fields: FieldMap = FieldMap()
    tensor: TensorMap | None = None

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return template_regex(self.source)

    @cached_property
    def target_pattern(self) -> re.Pattern[str]:
        return template_regex(self.target)

    def there(self, match: re.Match[str]) -> str:
        """Our key for a match of ``pattern``."""
        return self.target.format(**self.fields.there(match.groupdict()))

    def back(self, match: re.Match[str], depths: Depths) -> str:
        """The source's key for a match of ``target_pattern``."""
        return self.source.format(**self.fields.back(match.groupdict(), depths))


@dataclass(frozen=True)
class Drop:
    """A source key that no backbone has a place for, left out on purpose.

    Args:
        source: template of the source's key.
        why: for reports.
        keep: template of the key under which it is kept where that is asked for, and from which it comes back.
    """

    source: str
    why: str
    keep: str | None = None

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return template_regex(self.source)

    @cached_property
    def keep_pattern(self) -> re.Pattern[str] | None:
        return template_regex(self.keep) if self.keep else None


@dataclass(frozen=True)
class Layout:
    """How one publisher names a family's tensors.

    Args:
        name: for reports, for example ``timm``; its first word is what ``--to`` takes.
        mark: a key that every file of this layout holds and files of the family's other layouts do not.
        rules: first match decides.
        without: a key that no file of this layout holds, where another family's files hold the mark too.
        wrapper: the key that the publisher's own files of torch.save have the weights under.
    """

    name: str
    mark: str
    rules: tuple[Rename | Drop, ...]
    without: str | None = None
    wrapper: str = 'state_dict'


def our_layout(mark: str) -> Layout:
    """The layout of files with our own names."""
    return Layout(
        'mmseq',
        mark,
        (
            *(Rename(f'{part}.{{rest}}', f'{part}.{{rest}}') for part in ('stem', 'stages', 'norms')),
            Drop('head.{rest}', 'classifier', 'head.{rest}'),
            Drop(f'{EXACT}{{rest}}', "the source's last bits, for converting back", f'{EXACT}{{rest}}'),
        ),
    )


@dataclass(frozen=True)
class Family:
    """All layouts in which a family's weights are found; ours among them, as the last."""

    name: str
    layouts: tuple[Layout, ...]

    @property
    def ours(self) -> Layout:
        return self.layouts[-1]

    def find_layout(self, keys: Iterable[str]) -> Layout | None:
        """The layout that the keys tell: its mark is among them, and what it is ``without`` is not."""
        keys = set(keys)
        fitting = (layout for layout in self.layouts if layout.mark in keys and layout.without not in keys)
        return next(fitting, None)


@dataclass
class Renamed:
    """A state dict in other names, and what became of every key.

    Attributes:
        tensors: by target key.
        sources: the key that each of them, and of ``kept``, had before.
        dropped: keys left out on purpose, and why.
        kept: of these, what ``Drop.keep`` gives a name to.
        exact: by target key, the source's tensor where ours has lost some of its bits.
        unexplained: source keys that no rule explains.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)
    exact: dict[str, Tensor] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)


def find_rule(key: str, layout: Layout) -> tuple[Rename | Drop, re.Match[str]] | None:
    """The first rule of a layout that a source key matches, and the match."""
    found = ((rule, match) for rule in layout.rules if (match := rule.pattern.fullmatch(key)))
    return next(found, None)


def rename(source: Mapping[str, Tensor], layout: Layout) -> Renamed:
    """Apply a layout's rules to every key. Two keys that meet in one target are reported as unexplained."""
    result = Renamed()
    for key, tensor in source.items():
        found = find_rule(key, layout)
        if found is None:
            result.unexplained.append(key)
            continue
        rule, match = found
        if isinstance(rule, Drop):
            result.dropped[key] = rule.why
            if rule.keep:
                name = rule.keep.format(**match.groupdict())
                result.kept[name], result.sources[name] = tensor, key
            continue
        target = rule.there(match)
        if target in result.tensors:
            result.unexplained.append(key)
            continue
        result.tensors[target] = rule.tensor.there(tensor) if rule.tensor else tensor
        result.sources[target] = key
        if rule.tensor and rule.tensor.rounds and not same_bits(rule.tensor.back(result.tensors[target]), tensor):
            result.exact[target] = tensor
    return result


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are one to the last bit, signs of zeros and payloads of NaN included."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.data_ptr() == b.data_ptr() and a.stride() == b.stride():
        return True
    return torch.equal(*(t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (a, b)))


def restore(ours: Mapping[str, Tensor], layout: Layout) -> Renamed:
    """The inverse of :func:`rename` and :func:`place_blocks`: our keys become those of a layout.

    Args:
        ours: the tensors of a backbone, with what was kept of the classifier and of the source's last bits.
        layout: the target.

    Returns:
        Tensors in the layout's names. A tensor that rounding changes is taken from what was kept of the source; one
        that has no such is computed, and listed in ``exact`` with what converting it again would give. Norms that the
        layout has no place for are dropped; a key that no rule leads back to is unexplained.
    """
    depths, result = count_blocks(ours), Renamed()
    for key, tensor in ours.items():
        if key.startswith(EXACT):
            continue
        source, rule = source_key(key, layout, depths)
        if source is None:
            if re.fullmatch(r'norms\.\d+\..+', key) and not key.startswith(f'norms.{len(depths) - 1}.'):
                result.dropped[key] = f'norm of a level, which the {layout.name} layout has no place for'
            elif key.startswith('head.'):
                result.dropped[key] = 'classifier'
            else:
                result.unexplained.append(key)
            continue
        result.sources[source] = key
        result.tensors[source] = tensor
        if isinstance(rule, Rename) and rule.tensor:
            result.tensors[source] = _tensor_back(key, tensor, rule.tensor, ours.get(EXACT + key), result)
    return result


def _tensor_back(key: str, tensor: Tensor, how: TensorMap, exact: Tensor | None, result: Renamed) -> Tensor:
    """The source's tensor; what was kept of it is taken only if ours is made from it."""
    if exact is not None:
        if same_bits(how.there(exact), tensor):
            return exact
        result.unexplained.append(f'{EXACT}{key} (not what {key} was made from)')
    back = how.back(tensor)
    if how.rounds and not same_bits(how.there(back), tensor):
        result.exact[key] = how.there(back)
    return back


def source_key(key: str, layout: Layout, depths: Depths) -> tuple[str, Rename | Drop] | tuple[None, None]:
    """The key that a layout's rules turn into ours, and the rule; no key if none leads back here."""
    for name in (key, counted_through(key, depths)):
        for rule in layout.rules:
            pattern = rule.target_pattern if isinstance(rule, Rename) else rule.keep_pattern
            match = pattern.fullmatch(name) if pattern else None
            if not match:
                continue
            if isinstance(rule, Drop):
                return rule.source.format(**match.groupdict()), rule
            source = rule.back(match, depths)
            found = find_rule(source, layout)
            if found and found[0] is rule and rule.there(found[1]) == name:
                return source, rule
    return None, None


def count_blocks(ours: Iterable[str]) -> Depths:
    """Blocks of every stage, as the keys of a backbone tell."""
    blocks: dict[int, int] = {}
    for key in ours:
        match = _BLOCK.match(key)
        if match:
            blocks[int(match[1])] = max(blocks.get(int(match[1]), 0), int(match[2]) + 1)
    return tuple(blocks.get(stage, 0) for stage in range(max(blocks, default=-1) + 1))


def absent_norms(own: Iterable[str], found: Iterable[str]) -> list[str]:
    """The model's keys of norms of which a file holds nothing; of the others it must hold all."""
    present = {key.split('.')[1] for key in found if key.startswith('norms.')}
    return [key for key in own if key.startswith('norms.') and key.split('.')[1] not in present]


def counted_through(key: str, depths: Depths) -> str:
    """``blocks.{n}`` and ``norms.last``, as key tables call them whose source knows no stages."""
    if key.startswith(f'norms.{len(depths) - 1}.'):
        return f'norms.last.{key.split(".", 2)[2]}'
    match = _BLOCK.fullmatch(key)
    return f'blocks.{sum(depths[: int(match[1])]) + int(match[2])}.{match[3]}' if match else key


def placed(keys: Iterable[str], depths: Depths) -> dict[str, str]:
    """The inverse of :func:`counted_through` for many keys, by key. Blocks beyond the last stage keep their names."""
    places = [f'stages.{stage}.blocks.{i}.' for stage, depth in enumerate(depths) for i in range(depth)]
    result = {}
    for key in keys:
        result[key] = key
        if key.startswith('norms.last.'):
            result[key] = f'norms.{len(depths) - 1}.{key[11:]}'
        elif key.startswith('blocks.'):
            _, number, rest = key.split('.', 2)
            if int(number) < len(places):
                result[key] = places[int(number)] + rest
    return result


def place_blocks(renamed: Renamed, depths: Depths) -> None:
    """Give ``blocks.{n}``, which a file counts through, and ``norms.last`` their places in the stages of a model.

    Where a stage ends is the model's choice and not the file's.
    """
    parts: tuple[dict[str, Any], ...] = (renamed.tensors, renamed.sources, renamed.exact)
    for part in parts:
        places, values = placed(part, depths), list(part.items())
        part.clear()
        part.update((places[key], value) for key, value in values)
