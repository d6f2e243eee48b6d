"""Options that override a config: each has to be read by something, or it is refused with the key that would be."""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from difflib import get_close_matches
from functools import cache
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, LogProcessor, Runner, TestLoop, ValLoop
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from mmseq.errors import InputError
from mmseq.explain import classes
from mmseq.nested import walk

# Dicts that hold whatever their keys name.
OPEN = frozenset(('metainfo', 'data_prefix', 'custom_keys', 'backend_args'))
# What a message lists at most.
MOST = 4


def check_option(cfg: Config, key: str, value: Any, path: str) -> None:
    """Refuse an option that nothing would read.

    Args:
        cfg: the config; where the way of the option leads through None or nothing, it gets an empty dict.
        key: dotted.
        value: what it would be.
        path: of the config.

    Raises:
        InputError: a key that is not there and that nothing takes, a value that was copied when the file was read, or
            a plain value in the place of a dict.
    """
    say = f'config {path}: option {key}'
    parts = key.split('.')
    if 'model' in cfg and parts[0] in cfg and parts[0] not in read_keys(cfg):
        raise InputError(f'{say}={value}: nothing reads {parts[0]}{copies(cfg, parts)}')
    node: Any = cfg._cfg_dict
    for depth, part in enumerate(parts):
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                raise InputError(f'{say}: {part!r} is no index of a list of {len(node)}')
            node = node[int(part)]
        elif isinstance(node, MutableMapping):
            last = depth == len(parts) - 1
            check_key(cfg, parts[:depth], node, part, last, say)
            if node.get(part) is None and not last:
                node[part] = ConfigDict()
            node = node.get(part)
        else:
            # A plain value on the way is refused where the option is merged.
            return
    if isinstance(node, Mapping) and not isinstance(value, (Mapping, type(None))):
        raise InputError(f'{say}={value}: there is a dict; set one of its keys: {", ".join(node)}')


def check_key(cfg: Config, way: list[str], node: Mapping[str, Any], key: str, last: bool, say: str) -> None:
    """Raises InputError for a new key of a dict that nothing takes; ``way`` leads to the dict."""
    # What a class does not take, its builder says best.
    if key in node or (last and 'type' in node and way[-1] != 'clip_grad'):
        return
    known = known_keys(cfg, way, node)
    if known is None or key in known or ('type' not in node and mentioned(cfg, way, key)):
        return
    listed = set(known) | set(node)
    near = get_close_matches(key, sorted(listed), 3) or sorted(listed)[:8]
    raise InputError(f'{say}: {".".join(way) or "the config"} has no {key!r}; nearest: {", ".join(near)}')


def known_keys(cfg: Config, way: list[str], node: Mapping[str, Any]) -> set[str] | None:
    """What may be in a dict beside what is; None where that may be anything."""
    place = '.'.join(way)
    if not way:
        return set(top_level()) | set(cfg.keys())
    if place in read_by_mmengine():
        own = classes.find(node.get('type'), scope_of(cfg)) if way[-1] != 'clip_grad' else None
        return set(read_by_mmengine()[place]) | (classes.arguments(own) if own else set())
    if 'type' in node:
        cls = classes.find(node['type'], scope_of(cfg))
        return classes.arguments(cls) if cls else None
    # An empty dict is one that an option has made, or one that is filled by its reader.
    return None if not node or OPEN & set(way[-2:]) else set(node)


def scope_of(cfg: Config) -> str:
    """Whose types need no prefix."""
    return cfg.get('default_scope') or 'mmengine'


def read_keys(cfg: Config) -> set[str]:
    """The keys of a config that a run reads; all others are variables of its file."""
    # A model's own preprocessor comes first.
    return set(top_level()) - ({'data_preprocessor'} if 'data_preprocessor' in cfg.model else set())


@cache
def top_level() -> frozenset[str]:
    """The keys that mmengine's Runner and mmseq look for."""
    ours = {'tta_model', 'tta_pipeline', 'compile', 'model_wrapper_cfg', 'find_unused_parameters'}
    return frozenset(set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'} | ours)


@cache
def read_by_mmengine() -> dict[str, set[str]]:
    """The dicts without a type of their own, and what their readers take."""
    loader = takes(DataLoader) | {'num_batch_per_epoch', 'disable_subprocess_warning'}
    clip = takes(torch.nn.utils.clip_grad_norm_) | takes(torch.nn.utils.clip_grad_value_)
    return {
        **dict.fromkeys(('train_dataloader', 'val_dataloader', 'test_dataloader'), loader),
        'train_cfg': takes(EpochBasedTrainLoop) | takes(IterBasedTrainLoop) | {'by_epoch', 'type'},
        'val_cfg': takes(ValLoop) | {'type'},
        'test_cfg': takes(TestLoop) | {'type'},
        'optim_wrapper': takes(OptimWrapper) | {'type', 'constructor', 'paramwise_cfg'},
        'optim_wrapper.clip_grad': clip - {'parameters'} | {'type'},
        # Constructors are asked one by one what they read of it.
        'optim_wrapper.paramwise_cfg': {'custom_keys'},
        'randomness': takes(Runner.set_randomness),
        'auto_scale_lr': {'enable', 'base_batch_size'},
        'log_processor': takes(LogProcessor) | {'type'},
        'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
        'env_cfg.mp_cfg': takes(set_multi_processing) - {'distributed'},
        'env_cfg.dist_cfg': takes(torch.distributed.init_process_group) | {'init_backend'},
        'default_hooks': {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'},
    }


def takes(reader: Callable[..., Any]) -> set[str]:
    """The names of a function's or a class's arguments."""
    return set(inspect.signature(reader).parameters) - {'self', 'runner', 'kwargs'}


def mentioned(cfg: Config, way: list[str], key: str) -> bool:
    """Whether the sources of the classes around a dict without a type read such a key, as ``cfg.key`` or ``'key'``."""
    word = re.compile(rf"""\.{re.escape(key)}\b|['"]{re.escape(key)}['"]""")
    return any(word.search(source) for cls in readers(cfg, way) for source in sources(cls))


def readers(cfg: Config, way: list[str]) -> Iterator[type]:
    """The classes that a dict may be handed to: of the dict around it; in a model, those of the whole model."""
    if way == ['optim_wrapper', 'paramwise_cfg']:
        types = [cfg.optim_wrapper.get('constructor') or 'DefaultOptimWrapperConstructor']
    elif not way or '.'.join(way) in read_by_mmengine():
        return
    elif way[0] == 'model':
        types = [node['type'] for node in walk(cfg.model) if 'type' in node]
    else:
        node, types = cfg._cfg_dict, []
        for part in way:
            node = node[int(part)] if isinstance(node, (list, tuple)) else node[part]
            types = [node['type']] if isinstance(node, Mapping) and 'type' in node else types
    yield from (cls for name in types if inspect.isclass(cls := classes.find(name, scope_of(cfg))))


def sources(cls: type) -> Iterator[str]:
    """The sources of a class and of what it inherits from, except for torch's and Python's own."""
    for base in cls.__mro__:
        if base.__module__.partition('.')[0] not in ('builtins', 'abc', 'typing', 'torch'):
            yield source_of(base.__module__)


@cache
def source_of(module: str) -> str:
    """The text of a module."""
    return inspect.getsource(sys.modules[module])


def copies(cfg: Config, parts: list[str]) -> str:
    """Where the value of a variable of the file stands in what is read, as advice; nothing if it is nowhere."""
    read = {name: value for name, value in cfg._cfg_dict.items() if name in read_keys(cfg)}
    node, found = cfg._cfg_dict, []
    for depth, part in enumerate(parts, 1):
        if isinstance(node, (list, tuple)) and not (part.isdigit() and int(part) < len(node)):
            break
        node = node[int(part)] if isinstance(node, (list, tuple)) else node.get(part)
        # A number within a list is one of many, as a stride.
        whole = isinstance(node, (Mapping, list, tuple, str))
        found = [place for place in places(read, node) if whole or not place.rpartition('.')[2].isdigit()]
        if found or not isinstance(node, (Mapping, list, tuple)):
            found = ['.'.join((place, *parts[depth:])) for place in found]
            break
    # Small numbers and switches occur everywhere: those of a like name come first.
    found.sort(key=lambda place: not alike(parts[-1], place.rpartition('.')[2]))
    more = f' and {len(found) - MOST} more' if len(found) > MOST else ''
    listed = f'; set {", ".join(found[:MOST])}{more}' if found else ''
    return f', a variable of the file: what it sets was made when the file was read{listed}'


def alike(one: str, other: str) -> bool:
    """Whether two names are near."""
    return one in other or other in one or bool(get_close_matches(one, [other], 1))


def places(node: Any, value: Any, key: str = '') -> Iterator[str]:
    """The dotted keys of all that equals a value; texts that begin with a text count too, as paths are joined."""
    if key and same(node, value):
        yield key
        return
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for name, item in items:
        yield from places(item, value, f'{key}.{name}' if key else str(name))


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same; lists and tuples are, and True is not 1."""
    if isinstance(one, str) and isinstance(other, str):
        return one.startswith(other) and (one == other or len(other) > 2)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return list(one) == list(other)
    return type(one) is type(other) and one == other and one is not None
