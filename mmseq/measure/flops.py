"""Multiply-adds of a model at an image size, by module and by operator, from shapes alone where they suffice.

What counts is what papers call FLOPs: one multiply-add of a matrix product or convolution is 1, and so is one of an
interpolation. Biases, norms, activations, pooling, sums along an axis and copies count 0, and so does a shift.

    matrix products, convolutions, attention   torch.utils.flop_counter's formulas, halved (it counts both operations)
    LSTM, GRU, RNN                             every step of every sequence meets every weight matrix once
    mLSTM                                      the products that its chunkwise algorithm makes
    resampling to other strides                its two dense products per map, as they run
    bilinear 4, bicubic 16 per element         interpolation, grid sampling; RoIAlign 4 per sampling point

An operator of none of these kinds is an error to be named, not a zero.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mmseq.errors import InputError
from mmseq.ops.resample2d import axis_weights

RECURRENT = frozenset({'lstm', 'gru', 'rnn_tanh', 'rnn_relu'})
# Multiply-adds per element that comes out.
PER_ELEMENT = {
    'upsample_nearest1d': 0,
    'upsample_nearest2d': 0,
    '_upsample_nearest_exact2d': 0,
    'upsample_bilinear2d': 4,
    '_upsample_bilinear2d_aa': 4,
    'upsample_bicubic2d': 16,
    '_upsample_bicubic2d_aa': 16,
    'grid_sampler_2d': 4,
}
# What torch tags neither as pointwise nor as a reduction, and is no view: norms, pooling, scans, copies, what picks
# elements out and puts them in, and what makes tensors. Global norms go into weights by addmv.
NAMED_FREE = """
    native_layer_norm native_group_norm native_batch_norm _native_batch_norm_legit_no_training cudnn_batch_norm
    _softmax _log_softmax log_sigmoid_forward linalg_vector_norm gelu gelu_ addmv
    _adaptive_avg_pool2d avg_pool2d max_pool2d_with_indices
    cumsum cumprod cummax max min sort topk floor_divide
    _to_copy clone copy_ cat stack _unsafe_view as_strided_ constant_pad_nd reflection_pad2d repeat roll flip
    tril tril_ triu triu_ split split_with_sizes unsafe_split pixel_shuffle im2col
    gather index index_select index_put_ scatter scatter_ scatter_add scatter_add_ embedding
    arange linspace zeros ones full empty eye scalar_tensor zeros_like ones_like full_like empty_like lift_fresh
    new_zeros new_ones new_full new_empty fill_ zero_ promote_types native_dropout masked_fill_ _local_scalar_dense
"""
FREE = frozenset(NAMED_FREE.split())
TAGGED_FREE = {torch.Tag.pointwise, torch.Tag.reduction}


class NeedsValuesError(InputError):
    """Shapes alone do not say what a model runs."""


@dataclass
class Tally:
    """What was counted.

    Args:
        madds: multiply-adds by the innermost module's name and the operator's.
        uncounted: operators without a formula, and the modules that ran them.
        ran: names of the modules that ran.
    """

    madds: Counter[tuple[str, str]] = field(default_factory=Counter)
    uncounted: dict[str, set[str]] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)

    @property
    def total(self) -> int:
        return sum(self.madds.values())

    def below(self, name: str) -> int:
        """Of a module with all that is in it."""
        return sum(n for (module, _), n in self.madds.items() if module == name or module.startswith(f'{name}.'))

    def by_operator(self) -> dict[str, int]:
        """The largest first; operators that count nothing are left out."""
        sums: Counter[str] = Counter()
        for (_, operator), n in self.madds.items():
            sums[operator] += n
        return {operator: n for operator, n in sums.most_common() if n}


class Counting(TorchDispatchMode):
    """Adds up what every operator below autograd does."""

    def __init__(self, tally: Tally, where: list[str]) -> None:
        # torch's, without types; mypy does not know super() for torch's.
        super().__init__()  # type: ignore[no-untyped-call]
        self.tally, self.where = tally, where

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix('aten::')
        # The registry has products that make a new tensor, but not their in-place forms.
        product = getattr(torch.ops.aten, name[:-1], None) if name.endswith('_') else func.overloadpacket
        if product in flop_registry:
            # It counts a multiplication and an addition as two.
            n = flop_registry[product](*args, **(kwargs or {}), out_val=out) // 2
            self.tally.madds[self.where[-1], name] += n
        elif name in PER_ELEMENT:
            self.tally.madds[self.where[-1], name] += PER_ELEMENT[name] * out.numel()
        elif not (name in FREE or func.is_view or func.namespace == 'prim' or TAGGED_FREE & {*func.tags}):
            self.tally.uncounted.setdefault(func._schema.name, set()).add(self.where[-1])
        return out


class Recurrences(TorchFunctionMode):
    """Counts torch's recurrent layers by formula, in place of unrolling them step by step."""

    def __init__(self, tally: Tally, where: list[str]) -> None:
        super().__init__()
        self.tally, self.where = tally, where

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, '__name__', '')
        # A packed sequence has its weights one place later; it is unrolled, and counted as the products it makes.
        if name not in RECURRENT or kwargs or not isinstance(args[3], bool):
            return func(*args, **(kwargs or {}))
        x, state, weights, *_, bidirectional, _ = args
        states = state if isinstance(state, (list, tuple)) else (state,)
        steps = prod(x.shape[:-1])
        self.tally.madds[self.where[-1], name] += steps * sum(w.numel() for w in weights if w.dim() == 2)
        out = x.new_zeros(*x.shape[:-1], states[0].shape[-1] * (2 if bidirectional else 1))
        return (out, *(torch.zeros_like(s) for s in states))


@contextmanager
def watched(model: nn.Module, where: list[str], ran: set[str]) -> Iterator[None]:
    """Keep the name of the module that runs on top of ``where``, whether it is called or its ``forward`` is.

    All names are gathered in ``ran``.
    """

    def run(name: str, forward: Callable[..., Any], *args: Any, **options: Any) -> Any:
        where.append(name)
        ran.add(name)
        result = forward(*args, **options)
        # Not after an error: its place is what is asked for then.
        where.pop()
        return result

    modules = [(name, module) for name, module in model.named_modules() if name]
    for name, module in modules:
        module.forward = partial(run, name, module.forward)
    try:
        yield
    finally:
        for _, module in modules:
            del module.forward


def count(
    model: nn.Module,
    images: tuple[int, ...],
    run: Callable[[nn.Module, Tensor, Tally], Any] | None = None,
    values: bool = False,
) -> Tally:
    """Count one inference.

    Args:
        model: on any device, best on ``meta``; it is moved to shapes without values and is of no use afterwards.
        images: the shape of the batch, such as (1, 3, 512, 512).
        run: what is to be run; ``model(images)`` by default.
        values: run the model, which is to be on the CPU, on a random image, but for its recurrent layers, which give
            zeros. For models whose operations depend on values.

    Raises:
        NeedsValuesError: the model cannot be run without values.
        InputError: it cannot be run.
    """
    tally, where = Tally(), ['']
    run = run or (lambda model, x, tally: model(x))
    # Tensors of the mode must not outlive it in the cache of resampling weights.
    axis_weights.cache_clear()
    try:
        with torch.no_grad(), nullcontext() if values else FakeTensorMode(allow_non_fake_inputs=True):
            model = (model if values else model.to_empty(device='cpu')).eval()
            x = (torch.rand if values else torch.empty)(images)
            with watched(model, where, tally.ran), Recurrences(tally, where), Counting(tally, where):
                run(model, x, tally)
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        reason = f'its operations depend on values ({error.func}), not on shapes'
        raise NeedsValuesError(f'{place(model, where)}: {reason}') from error
    except (RuntimeError, TypeError) as error:
        # A kernel that wants memory, or a head that wants more than images.
        kind = NeedsValuesError if isinstance(error, RuntimeError) and not values else InputError
        reason = f'{type(error).__name__}: {str(error).partition(chr(10))[0]}'
        raise kind(f'{place(model, where)} does not run{"" if values else " on shapes alone"}: {reason}') from error
    finally:
        axis_weights.cache_clear()
    return tally


def place(model: nn.Module, where: list[str]) -> str:
    """The module that ran last, or the model."""
    return where[-1] or type(model).__name__
