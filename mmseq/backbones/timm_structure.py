"""What a timm model is made of: its maps, and the parameters behind each, found out without memory for a number.

timm's models declare channels and strides; here they are run on the meta device, where tensors are shapes alone, and
what comes out counts. The graph of that run tells which parameters a map depends on: those of its stage.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from types import ModuleType
from typing import Any

import torch
from packaging.version import Version
from torch import Tensor, nn
from torch.nn import functional as F

from mmseq.errors import InputError, first_line

# What timm's models raise for what they do not like; they have no exception of their own.
FAILURES = (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError, AssertionError)
# Position embeddings and windows for every size of image; and in Swin windows that are shifted wherever there are
# several at that size, not only where there were at 224 px.
FLEXIBLE = {'dynamic_img_size': True, 'strict_img_size': False, 'always_partition': True}
OURS = {
    'in_chans': 'in_channels',
    'drop_path_rate': 'drop_path_rate',
    'out_indices': 'out_indices',
    'pretrained': "init_cfg=dict(type='Pretrained', checkpoint='timm://NAME.TAG')",
    'checkpoint_path': "init_cfg=dict(type='Pretrained', checkpoint=FILE)",
    'features_only': 'nothing, maps are all that a backbone gives',
    'num_classes': 'nothing, a backbone has no classifier',
}
FINAL_NORMS = ('norm', 'fc_norm', 'head.norm')
# The first that was tried; older ones do not build on the meta device.
OLDEST = '1.0.31'
SMALLEST = 32
"""Pixels per side of the smallest image of the contract."""


@dataclass(frozen=True)
class Structure:
    """A timm model as a backbone.

    Args:
        name: timm's.
        arguments: of ``timm.create_model``.
        keys: all tensors of the classifier, as its files name them.
        features: the numbers that timm gives to the levels.
        channels: of every level.
        strides: of every level.
        divisor: sides of images are padded to multiples of it.
        stem: names of the parameters before the first block; empty if timm does not tell.
        stages: names of the parameters that a level depends on and the one before does not.
        final_norm: name of the norm before the classifier, if it has one.
        norm: from channels to a norm of that kind, over the last axis.
    """

    name: str
    arguments: Mapping[str, Any]
    keys: tuple[str, ...]
    features: tuple[int, ...]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    divisor: int
    stem: frozenset[str]
    stages: tuple[frozenset[str], ...]
    final_norm: str | None
    norm: Callable[[int], nn.Module] | None


def library() -> ModuleType:
    """timm.

    Raises:
        InputError: it is not installed, or too old.
    """
    try:
        import timm
    except ModuleNotFoundError as error:
        raise InputError("mmseq.Timm needs timm, which is not installed: pip install 'mmseq[timm]'") from error
    if Version(timm.__version__) < Version(OLDEST):
        raise InputError(
            f'mmseq.Timm needs timm {OLDEST} or newer, and {timm.__version__} is installed: pip install -U timm'
        )
    return timm


def create(name: str, arguments: Mapping[str, Any]) -> Any:
    """A timm model with its classifier.

    Raises:
        InputError: timm has no such model, or refuses the arguments.
    """
    timm = library()
    if not timm.is_model(name):
        near = get_close_matches(name.partition('.')[0], timm.list_models(), 3, cutoff=0.0)
        raise InputError(f'timm {timm.__version__} has no model {name!r}; nearest: {", ".join(near)}')
    try:
        net = timm.create_model(name, **arguments)
    except FAILURES as error:
        given = ', '.join(f'{key}={value!r}' for key, value in arguments.items())
        raise InputError(f'timm does not build {name} ({given}): {first_line(error)}; see options') from error
    fill_before_shift(net)
    return net


def examine(
    name: str, levels: Sequence[int] | None, in_channels: int, drop_path_rate: float, options: Mapping[str, Any]
) -> Structure:
    """Find out a timm model's structure.

    Args:
        name: timm's, with or without the tag of its weights.
        levels: timm's numbers of the features that are to be levels; None for the last four, or of a model of one
            stride those after a third, a half, two thirds and all of its blocks.
        in_channels: channels of the images.
        drop_path_rate: of the last block.
        options: further arguments of the model.

    Raises:
        InputError: there is no such model, it refuses the arguments, or it cannot be such a backbone.
    """
    arguments = full_arguments(name, in_channels, drop_path_rate, options)
    with torch.device('meta'), torch.enable_grad():
        net = create(name, arguments).eval()
        features = choose_features(name, net, levels)
        divisor, maps = probe(name, net, features, in_channels)
    named = {id(parameter): key for key, parameter in net.named_parameters()}
    behind = [frozenset(named[i] for i in reached(level) if i in named) for _, level in maps]
    stages = tuple(now - set().union(*behind[:i]) for i, now in enumerate(behind))
    norm = next((key for key in FINAL_NORMS if is_final_norm(net, key, maps[-1][1].shape[1], behind[-1])), None)
    return Structure(
        name=name,
        arguments=arguments,
        keys=tuple(net.state_dict()),
        features=features,
        channels=tuple(level.shape[1] for _, level in maps),
        strides=tuple(stride for stride, _ in maps),
        divisor=divisor,
        stem=frozenset(layers(net, coarse=True).get(0, ())) & stages[0],
        stages=stages,
        final_norm=norm,
        norm=norm_like(net.get_submodule(norm)) if norm else None,
    )


def full_arguments(name: str, in_channels: int, drop_path_rate: float, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the model is built with.

    Raises:
        InputError: an option that is an argument of the backbone, or drop path for a model that has none.
    """
    for key in options:
        if key in OURS:
            raise InputError(f'options={dict(options)}: {key} does not belong there; use {OURS[key]}')
    with torch.device('meta'):
        known = inspect.signature(type(create(name, options)).__init__).parameters
    arguments = {key: value for key, value in FLEXIBLE.items() if key in known} | dict(options)
    if 'drop_path_rate' in known:
        # Some have a rate of their own if they are told none.
        arguments['drop_path_rate'] = drop_path_rate
    elif drop_path_rate:
        raise InputError(f"drop_path_rate={drop_path_rate}: timm's {name} has no drop path; set it to 0")
    return arguments if in_channels == 3 else arguments | {'in_chans': in_channels}


def choose_features(name: str, net: Any, levels: Sequence[int] | None) -> tuple[int, ...]:
    """timm's numbers of the levels.

    Raises:
        InputError: it has no features, or not these.
    """
    info = getattr(net, 'feature_info', None)
    if not info or not hasattr(net, 'forward_intermediates'):
        raise InputError(f"timm's {name} gives no features; choose another model")
    count = len(info)
    if levels is None:
        equal = len({entry['reduction'] for entry in info}) == 1
        parts = (count / 3, count / 2, count * 2 / 3, count) if equal and count > 4 else ()
        levels = [round(part) - 1 for part in parts] or range(max(0, count - 4), count)
    if not levels or list(levels) != sorted({*levels} & {*range(count)}):
        raise InputError(
            f"levels={tuple(levels)}: expected ascending features of 0..{count - 1}, timm's {name} has no others"
        )
    return tuple(levels)


def probe(name: str, net: Any, features: Sequence[int], in_channels: int) -> tuple[int, list[tuple[int, Tensor]]]:
    """Run a model of the meta device on small images that are not square.

    Returns:
        What sides are to be multiples of, and each level's stride and map. Models with windows of one size take
        multiples of the size that they were trained at.

    Raises:
        InputError: it does not run, or its maps are not of whole strides.
    """
    declared = [net.feature_info[i]['reduction'] for i in features]
    native = max(net.pretrained_cfg['input_size'][1:])
    failure: Exception | None = None
    for divisor in (math.lcm(*declared), math.lcm(native, *declared)):
        side = math.ceil(SMALLEST / divisor) * divisor
        shapes = ((5 * side, 3 * side), (side, side + divisor))
        try:
            _, maps = (run(net, features, in_channels, shape) for shape in shapes)
        except FAILURES as error:
            failure = failure or error
            continue
        return divisor, [(whole_stride(name, level, shapes[1]), level) for level in maps]
    raise InputError(
        f"timm's {name} takes images of {native} x {native} px only, but a backbone needs any size "
        f'({first_line(failure or RuntimeError())}); choose another model'
    ) from failure


def run(net: Any, features: Sequence[int], in_channels: int, shape: tuple[int, int]) -> list[Tensor]:
    """A model's maps (B, C, H, W) of an empty image."""
    return forward_features(net, torch.zeros(1, in_channels, *shape), features)


def forward_features(net: Any, images: Tensor, features: Sequence[int]) -> list[Tensor]:
    """(B, in_channels, H, W) to one (B, C, H / stride, W / stride) per feature."""
    return net.forward_intermediates(images, indices=list(features), intermediates_only=True, output_fmt='NCHW')


def whole_stride(name: str, level: Tensor, shape: tuple[int, int]) -> int:
    """Pixels per cell.

    Raises:
        InputError: the tensor is no map, or the numbers are not whole and equal.
    """
    sides = tuple(level.shape[2:])
    stride = shape[0] // max(sides[0], 1) if len(sides) == 2 else 0
    if tuple(side * stride for side in sides) != shape:
        raise InputError(
            f"timm's {name} makes {tuple(level.shape)} of an image of {shape[0]} x {shape[1]} px, which is no map of "
            'a whole stride; choose another model'
        )
    return stride


def reached(level: Tensor) -> set[int]:
    """The ids of the parameters that a tensor was computed from."""
    pending, seen, found = [level.grad_fn], set(), set()
    while pending:
        function = pending.pop()
        if function is None or function in seen:
            continue
        seen.add(function)
        if hasattr(function, 'variable'):
            found.add(id(function.variable))
        pending += [other for other, _ in function.next_functions]
    return found


def is_final_norm(net: nn.Module, key: str, channels: int, used: frozenset[str]) -> bool:
    """Whether a module of that name is a norm over channels that the levels do without."""
    try:
        module = net.get_submodule(key)
    except AttributeError:
        return False
    weight = getattr(module, 'weight', None)
    over_channels = isinstance(module, nn.LayerNorm) or 'RmsNorm' in type(module).__name__
    return over_channels and weight is not None and weight.shape == (channels,) and f'{key}.weight' not in used


def norm_like(module: nn.Module) -> Callable[[int], nn.Module]:
    """From channels to a norm of the same kind, over the last axis."""
    eps = getattr(module, 'eps', None)
    if isinstance(module, nn.LayerNorm):
        return partial(nn.LayerNorm, eps=module.eps, bias=module.bias is not None)
    return partial(nn.RMSNorm, eps=eps)


def layers(net: nn.Module, coarse: bool = False) -> dict[int, list[str]]:
    """timm's groups of the parameters for layer-wise learning rates, the stem's first; none if it has none."""
    matcher = getattr(net, 'group_matcher', None)
    if matcher is None:
        return {}
    from timm.models import group_parameters

    return dict(group_parameters(net, matcher(coarse=coarse)))


def whole_modules(net: nn.Module, names: frozenset[str] | set[str]) -> Iterator[nn.Module]:
    """The outermost modules that have parameters, all of them among the names."""
    covered: tuple[str, ...] = ()
    for key, module in net.named_modules():
        own = [f'{key}.{name}' if key else name for name, _ in module.named_parameters()]
        if own and names.issuperset(own) and not f'{key}.'.startswith(covered):
            covered += (f'{key}.',)
            yield module


def fill_before_shift(net: nn.Module) -> None:
    """Let Swin's blocks fill a map up to whole windows before they shift it, as the authors' detectors do.

    timm shifts first: what was pushed out at one border lies beside the other, in the same window as pixels that are
    not its neighbours, and the mask, which is made for the filled map, does not part them.
    """
    from timm.models.swin_transformer import SwinTransformerBlock
    from timm.models.swin_transformer_v2 import SwinTransformerV2Block

    for block in net.modules():
        if isinstance(block, (SwinTransformerBlock, SwinTransformerV2Block)):
            # On the block itself: its parameters keep their names, and a copy of it gets a copy of this. To mypy a
            # method stays what its class says.
            block._attn = partial(attend_filled, block._attn, tuple(block.window_size))  # type: ignore[method-assign]


def attend_filled(attend: Callable[[Tensor], Tensor], window: tuple[int, ...], x: Tensor) -> Tensor:
    """(B, H, W, C) to the same, by attention in windows over the map with zeros to the right and below."""
    height, width = x.shape[1:3]
    filled = F.pad(x, (0, 0, 0, -width % window[1], 0, -height % window[0]))
    return attend(filled)[:, :height, :width]
