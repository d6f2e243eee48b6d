"""What a config asks for single parameters (``paramwise_cfg``): names that are known, and rules that take hold."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from logging import LogRecord
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS
from torch import nn
from torch.nn import GroupNorm, LayerNorm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from mmseq.engine.config_classes import class_of, constructor_defaults
from mmseq.errors import InputError

# What mmengine's constructor of optimizers reads, and ours.
PARAMWISE = frozenset(
    (
        'custom_keys',
        'bias_lr_mult',
        'bias_decay_mult',
        'norm_decay_mult',
        'dwconv_decay_mult',
        'flat_decay_mult',
        'dcn_offset_lr_mult',
        'bypass_duplicate',
        'decay_rate',
    )
)
# What each of its custom_keys may say, beside options of the optimizer.
MULTIPLIERS = ('lr_mult', 'decay_mult')
DEFAULT = 'DefaultOptimWrapperConstructor'
LAYER_DECAY = 'LayerDecayOptimWrapperConstructor'
NORMS = (_BatchNorm, _InstanceNorm, GroupNorm, LayerNorm)
_FROZEN = re.compile(r'^\S+ is skipped since its requires_grad=False$')
# Of schedules that serve all families: not every one has such parameters.
OF_SOME_FAMILIES = ('pos_embed', 'relative_position_bias_table', '.skip', '.norm.', '.norm1.', '.norm2.')


def check_paramwise(cfg: Config, path: str) -> None:
    """Refuse options that mmengine's constructor, or ours, would pass by without a word.

    Raises:
        InputError: an option that neither has, ``decay_rate`` without its constructor, or one of ``custom_keys`` that
            says something else than multipliers and options of the optimizer.
    """
    wrapper = cfg.get('optim_wrapper') or {}
    options = wrapper.get('paramwise_cfg') or {}
    constructor = str(wrapper.get('constructor') or DEFAULT).rpartition('.')[2]
    if constructor not in (DEFAULT, LAYER_DECAY):
        return
    where = f'config {path}: optim_wrapper.paramwise_cfg'
    if 'decay_rate' in options and constructor == DEFAULT:
        raise InputError(
            f"{where}.decay_rate does nothing by itself: set optim_wrapper.constructor='mmseq.{LAYER_DECAY}', or take "
            'it out'
        )
    refuse_others(options, PARAMWISE, where)
    for key, rule in (options.get('custom_keys') or {}).items():
        if not isinstance(rule, Mapping):
            raise InputError(f'{where}.custom_keys.{key}={rule!r}: expected a dict, as dict(lr_mult=0.1)')
        refuse_others(rule, {*MULTIPLIERS, *optimizer_options(wrapper)}, f'{where}.custom_keys.{key}')


def refuse_others(options: Mapping[str, Any], known: set[str] | frozenset[str], where: str) -> None:
    """Raises InputError for an option that is not among the known ones, with the nearest of them."""
    for name in options:
        if name not in known:
            near = get_close_matches(name, sorted(known), 3) or sorted(known)
            raise InputError(f'{where} has no {name!r}, which would do nothing; nearest: {", ".join(near)}')


def optimizer_options(wrapper: Mapping[str, Any]) -> set[str]:
    """The options that the config's optimizer takes for a group of parameters; empty if its class is unknown."""
    cls = class_of(OPTIMIZERS, wrapper.get('optimizer') or {})
    return set(constructor_defaults(cls)) if isinstance(cls, type) else set()


class Lost(NamedTuple):
    """What parameters lose of one rule to a custom key that goes first."""

    key: str
    rule: str
    option: str
    value: float


def trained(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """Name, module and parameter of all that is trained."""
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                yield f'{prefix}.{name}', module, parameter


def warnings(model: nn.Module, options: Mapping[str, Any]) -> list[str]:
    """A line for the keys that match nothing, and one for each rule that a longer key undoes."""
    keys = sorted(sorted(options.get('custom_keys') or {}), key=len, reverse=True)
    names = [name for name, _, _ in trained(model)]
    general = [key for key in keys if any(part in key for part in OF_SOME_FAMILIES)]
    idle = [key for key in keys if key not in general and not any(key in name for name in names)]
    lines = [f'paramwise_cfg.custom_keys: {len(idle)} of {len(keys)} keys are in the name of no trained parameter: '
             f'{", ".join(map(repr, idle))}; correct them or take them out'] if idle else []  # fmt: skip
    for lost, tensors in losses(model, options, keys).items():
        lines.append(
            f'paramwise_cfg.custom_keys: {len(tensors)} tensors get no {lost.option}={lost.value:g} of {lost.rule}, '
            f'since {lost.key!r} goes first and names no {lost.option} (the first is {tensors[0]}); give it one, or '
            'give them a longer key'
        )
    return lines


def losses(model: nn.Module, options: Mapping[str, Any], keys: list[str]) -> dict[Lost, list[str]]:
    """The names of the parameters that lose something to the longest key that matches them."""
    found: dict[Lost, list[str]] = {}
    for name, module, parameter in trained(model):
        matching = [key for key in keys if key in name]
        if not matching:
            continue
        first, *others = matching
        rules = [(repr(key), options['custom_keys'][key]) for key in others]
        rules += [(rule, {'decay_mult': options[rule]}) for rule in by_kind(name, module, parameter, options)]
        for option in {*MULTIPLIERS} - {*options['custom_keys'][first]}:
            rule, value = next(((rule, given[option]) for rule, given in rules if option in given), ('', 1))
            if value != 1:
                found.setdefault(Lost(first, rule, option, value), []).append(name)
    return found


def is_no_frozen_tensor(record: LogRecord) -> bool:
    """A filter of logs: mmengine warns of each frozen tensor, which RecipeHook's table sums up in a row."""
    return not _FROZEN.search(record.getMessage())


def by_kind(name: str, module: nn.Module, parameter: nn.Parameter, options: Mapping[str, Any]) -> list[str]:
    """The rule of weight decay that a parameter gets by its kind, if the options have one for it."""
    kinds = {
        'norm_decay_mult': isinstance(module, NORMS),
        'bias_decay_mult': name.endswith('.bias'),
        'dwconv_decay_mult': isinstance(module, nn.Conv2d) and module.in_channels == module.groups,
        'flat_decay_mult': parameter.ndim == 1,
    }
    return [rule for rule, is_so in kinds.items() if is_so and options.get(rule) is not None][:1]
