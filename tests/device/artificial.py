"""A device that is not the CPU and needs no hardware: it refuses what a GPU would refuse, and counts what one would do.

Its tensors hold a tensor in main memory (`DeviceTensor.inner`), on which every operator runs, so that values are real.
Operators that get tensors of both devices raise, as on CUDA; autocast has rules of its own; LSTMs want one dtype and no
autocast, as cuDNN does. `counts` has the launches of kernels and the times that the host waits for the device
(`syncs`, by the line that waits). To be started in a process of its own, before models are built: torch can rename a
device once, and the device is single-threaded.
"""

import collections
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

ROOT = Path(__file__).parents[2]
aten = torch.ops.aten
NAME = 'artificial'
launches: collections.Counter[str] = collections.Counter()
syncs: collections.Counter[str] = collections.Counter()
# dtypes that LSTMs ran in, and how often.
lstms: collections.Counter[torch.dtype] = collections.Counter()
# What takes tensors of several devices on CUDA too: copies, and indices on the CPU.
MIXED = {
    aten.copy_.default,
    aten._to_copy.default,
    aten.index.Tensor,
    aten.index_put_.default,
    aten.index_put.default,
    aten._index_put_impl_.default,
    aten._local_scalar_dense.default,
    aten.set_.source_Tensor,
}
INDEXING = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
# Results whose size or value the host has to wait for.
WAITING = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.equal.default,
    aten.masked_select.default,
    aten.is_nonzero.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.unique_consecutive.default,
}
# Start of the names of what launches no kernel.
FREE = ('empty', 'new_empty', 'detach', 'alias', 'lift_fresh', '_local_scalar', 'resize_', 'set_', '_unsafe_view')
LOWER = (
    'linear matmul mm bmm addmm baddbmm addbmm conv2d conv1d convolution _convolution conv_transpose2d.input einsum '
    'prelu scaled_dot_product_attention'
)
FLOAT32 = (
    'layer_norm group_norm nll_loss cross_entropy_loss softmax.int log_softmax.int sum sum.dim_IntList cumsum prod '
    'norm.Scalar exp log pow.Tensor_Scalar mse_loss l1_loss smooth_l1_loss binary_cross_entropy_with_logits cdist '
    'logsumexp'
)
# Registrations live as long as these.
_libraries: list[torch.library.Library] = []
_original_lstm = torch._VF.lstm


class DeviceTensor(Tensor):
    """A tensor on the device, around one in main memory."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> 'DeviceTensor':
        assert type(inner) is Tensor, type(inner)
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=torch.device(NAME, 0),
        )
        made.inner = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f'DeviceTensor({self.inner!r})'

    def tolist(self) -> Any:
        """As on a GPU, after waiting for it."""
        wait()
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return execute(func, args, kwargs or {})


class Mode(TorchDispatchMode):
    """Sees the calls that make tensors on the device from nothing."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if is_here(kwargs.get('device')) or any(isinstance(one, DeviceTensor) for one in inside((args, kwargs))):
            return execute(func, args, kwargs)
        return func(*args, **kwargs)


class DeviceModule:
    """What torch wants of ``torch.<device>``."""

    def is_available(self) -> bool:
        return True

    is_initialized = is_available

    def _is_in_bad_fork(self) -> bool:
        return False

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def manual_seed(self, seed: int) -> None:
        """The CPU's generator is the device's."""

    manual_seed_all = manual_seed

    def synchronize(self, device: Any = None) -> None:
        """Nothing is ever under way."""

    set_device = synchronize

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


def is_here(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def wait() -> None:
    """Note that the host waits for the device, and who asks for it."""
    frames = traceback.extract_stack()
    own = [one for one in frames if '/torch/' not in one.filename and one.filename != __file__]
    path = Path(own[-1].filename)
    place = path.relative_to(ROOT) if path.is_relative_to(ROOT / 'mmseq') else Path(*path.parts[-3:])
    syncs[f'{place}:{own[-1].lineno}'] += 1


def execute(func: Any, args: Any, kwargs: Any) -> Any:
    """Run an operator on what the tensors hold."""
    flat = list(inside((args, kwargs)))
    own = [one for one in flat if isinstance(one, DeviceTensor)]
    made_here = is_here(kwargs.get('device'))
    check_devices(func, args, flat, own)
    count(func, args, kwargs, own, made_here)
    plain_args, plain_kwargs = changed(in_main_memory, (args, kwargs))
    if made_here:
        plain_kwargs['device'] = torch.device('cpu')
    out = func(*plain_args, **plain_kwargs)
    stays = made_here or (bool(own) and kwargs.get('device') is None)
    if func is aten.copy_.default:
        stays = isinstance(args[0], DeviceTensor)
    # In-place variants give back the very tensor that they got.
    same = {id(one.inner): one for one in own}

    def outside(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        if id(one) in same:
            return same[id(one)]
        return DeviceTensor(one) if stays and type(one) is Tensor else one

    result = changed(outside, out)
    if stays and own and any(one.alias_info is not None for one in func._schema.returns):
        return return_and_correct_aliasing(func, args, kwargs, result)
    return result


def in_main_memory(value: Any) -> Any:
    if isinstance(value, DeviceTensor):
        return value.inner
    return torch.device('cpu') if isinstance(value, torch.device) and value.type == NAME else value


def inside(value: Any) -> Iterator[Any]:
    """What stands in the lists and dicts of arguments; torch's own trees took a seventh of the time of these tests."""
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from inside(one)
    elif isinstance(value, dict):
        yield from inside(tuple(value.values()))
    else:
        yield value


def changed(change: Callable[[Any], Any], value: Any) -> Any:
    """Arguments or a result with everything in their lists and dicts changed."""
    if isinstance(value, (list, tuple)):
        return type(value)([changed(change, one) for one in value])
    if isinstance(value, dict):
        return {key: changed(change, one) for key, one in value.items()}
    return change(value)


def check_devices(func: Any, args: Any, flat: Sequence[Any], own: Sequence[DeviceTensor]) -> None:
    """Raises RuntimeError for tensors of two devices, as CUDA's operators do; single numbers may be anywhere."""
    strangers = [one for one in flat if isinstance(one, Tensor) and not isinstance(one, DeviceTensor) and one.dim()]
    if own and strangers and func not in MIXED:
        raise RuntimeError(f'Expected all tensors to be on the same device: {func}, {NAME} and {strangers[0].device}')
    if func in INDEXING and own and not isinstance(args[0], DeviceTensor):
        raise RuntimeError(f'indices should be on the cpu, as the indexed tensor is: {func}')
    if func in INDEXING - {aten.index.Tensor} and isinstance(args[0], DeviceTensor):
        values = args[2]
        if isinstance(values, Tensor) and values.dim() and not isinstance(values, DeviceTensor):
            raise RuntimeError(f'Expected all tensors to be on the same device: {func}, values on the cpu')


def count(func: Any, args: Any, kwargs: Any, own: Sequence[DeviceTensor], made_here: bool) -> None:
    """Note a launch, and whether the host waits."""
    masks = func in INDEXING and any(isinstance(one, Tensor) and one.dtype == torch.bool for one in args[1])
    leaves = func is aten._to_copy.default and own and kwargs.get('device') is not None and not made_here
    fetched = func is aten.copy_.default and own and not isinstance(args[0], DeviceTensor)
    if own and (func in WAITING or masks or leaves or fetched):
        wait()
    views = any(one.alias_info is not None and not one.alias_info.is_write for one in func._schema.returns)
    name = str(func).removeprefix('aten.')
    if not views and not name.startswith(FREE):
        launches[name.split('.')[0]] += 1


def set_autocast_rules() -> None:
    """Products in autocast's dtype, sums and losses in float32, as on CUDA."""
    every = torch.library.Library('_', 'IMPL', 'AutocastPrivateUse1')
    every.fallback(torch.library.fallthrough_kernel, 'AutocastPrivateUse1')
    rules = torch.library.Library('aten', 'IMPL', 'AutocastPrivateUse1')
    _libraries.extend([every, rules])
    for names, lower in ((LOWER, True), (FLOAT32, False)):
        for name in names.split():
            rules.impl(name, autocast_rule(name, lower))


def autocast_rule(name: str, lower: bool) -> Callable[..., Any]:
    packet, _, overload = name.partition('.')
    operator = getattr(getattr(aten, packet), overload or 'default')
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def call(*args: Any, **kwargs: Any) -> Any:
        dtype = torch.get_autocast_dtype(NAME) if lower else torch.float32

        def cast(one: Any) -> Any:
            if not isinstance(one, DeviceTensor) or not one.is_floating_point():
                return one
            return one if one.dtype in (dtype, torch.float64) else one.to(dtype)

        with torch._C._ExcludeDispatchKeyGuard(key):
            args, kwargs = changed(cast, (args, kwargs))
            return operator(*args, **kwargs)

    return call


def register_memory() -> None:
    """What torch calls from C++ without asking Python's dispatch: lists as indices, ``torch.tensor(..., device=)``."""
    library = torch.library.Library('aten', 'IMPL', 'PrivateUse1')
    _libraries.append(library)

    def empty_strided(size: Any, stride: Any, dtype: Any = None, **_: Any) -> Tensor:
        return DeviceTensor(torch.empty_strided(size, stride, dtype=dtype))

    def empty(size: Any, dtype: Any = None, memory_format: Any = None, **_: Any) -> Tensor:
        return DeviceTensor(torch.empty(size, dtype=dtype, memory_format=memory_format))

    def copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
        inner = [one.inner if isinstance(one, DeviceTensor) else one for one in (target, source)]
        inner[0].copy_(inner[1])
        return target

    library.impl('empty_strided', lambda size, stride, *_, **options: empty_strided(size, stride, **options))
    library.impl('empty.memory_format', lambda size, *_, **options: empty(size, **options))
    library.impl('_copy_from', copy_from)


def register_loading() -> None:
    """Checkpoints for the device are read into main memory, from where models and optimizers copy them.

    torch itself makes a storage on the device, of which there is none: the process crashes.
    """

    def no_tag(storage: Any) -> None:
        return None

    def stay(storage: Any, location: str) -> Any:
        return storage if location.startswith(NAME) else None

    torch.serialization.register_package(0, no_tag, stay)


class Lstm(torch.autograd.Function):
    """cuDNN's LSTM: one kernel forward and one backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, state: Tensor, options: tuple[Any, ...], *weights: Tensor) -> Tensor:
        tensors = (x, state, *weights)
        if not all(isinstance(one, DeviceTensor) for one in tensors):
            raise RuntimeError('Input and parameter tensors are not at the same device')
        if len({one.dtype for one in tensors}) > 1 or torch.is_autocast_enabled(NAME):
            raise RuntimeError('an LSTM in several dtypes, or under autocast, which would run it in float16')
        lstms[x.dtype] += 1
        launches['lstm'] += 1
        ctx.save_for_backward(*tensors)
        ctx.options = options
        y = Lstm.run(*(one.inner.float() for one in tensors), options=options)
        return DeviceTensor(y.to(x.dtype))

    @staticmethod
    def run(x: Tensor, state: Tensor, *weights: Tensor, options: tuple[Any, ...]) -> Tensor:
        return _original_lstm(x, (state, state), list(weights), *options)[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        launches['lstm_backward'] += 1
        tensors = [one.inner.detach().float().requires_grad_() for one in ctx.saved_tensors]
        with torch.enable_grad():
            y = Lstm.run(*tensors, options=ctx.options)
        dtype = ctx.saved_tensors[0].dtype
        found = torch.autograd.grad(y, tensors, grad.inner.float(), allow_unused=True)
        x, _, *weights = (DeviceTensor(one.to(dtype)) for one in found)
        return x, None, None, *weights


def lstm(x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor], *options: Any) -> Any:
    """``torch._VF.lstm`` for tensors of both devices."""
    if not isinstance(x, DeviceTensor):
        return _original_lstm(x, states, weights, *options)
    return Lstm.apply(x, states[0], options, *weights), *states


def start() -> None:
    """Make the device known to torch and the one that mmengine's runs choose."""
    torch.utils.rename_privateuse1_backend(NAME)
    torch.utils.generate_methods_for_privateuse1_backend()
    torch._register_device_module(NAME, DeviceModule())
    torch._C._acc.register_python_privateuseone_hook(backend_registration._DummyPrivateUse1Hook())
    torch._C._acc.register_python_privateuseone_device_guard(backend_registration._DummyDeviceGuard())
    register_memory()
    register_loading()
    set_autocast_rules()
    torch._VF.lstm = lstm
    torch.autograd.set_multithreading_enabled(False)
    Mode().__enter__()


def chosen_by_mmengine() -> None:
    """The device of every run from now on; what mmengine checks of indices lets the device's tensors pass."""
    from typing import Union

    import mmengine.device.utils
    import mmengine.structures.instance_data as instance_data

    mmengine.device.utils.DEVICE = NAME
    instance_data.IndexType = Union[(*instance_data.IndexType.__args__, DeviceTensor)]


def counted() -> Mapping[str, int]:
    """Launches and syncs so far."""
    return dict(launches=sum(launches.values()), syncs=sum(syncs.values()))
