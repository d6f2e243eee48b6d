"""For what records: to torch.export sizes are symbols, and what they decide is recorded for those of the example."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def exporting() -> bool:
    """Whether torch.export is recording, so that no step may be chosen by the value of a size."""
    # torch 2.6 cannot be asked.
    return getattr(torch.compiler, 'is_exporting', bool)()


def tracing() -> bool:
    """Whether torch.jit.trace is recording."""
    # Documented there, and not among what torch.jit exports.
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def eager_on_cpu(x: Tensor) -> bool:
    """Whether an operator with gradients of its own may take x, which has values and is not recorded: no compiler,
    exporter or tracer, nor one who counts by shapes alone."""
    plain = type(x) in (Tensor, nn.Parameter)
    return plain and x.device.type == 'cpu' and not torch.compiler.is_compiling() and not tracing()


def why_not_eager(x: Tensor) -> str:
    """Why :func:`eager_on_cpu` refuses x, for the log."""
    if torch.compiler.is_compiling() or tracing():
        return 'recorded by a compiler or tracer'
    return f'on {x.device.type}' if x.device.type != 'cpu' else 'a tensor without values of its own'


def ceil_div(size: int, divisor: int) -> int:
    """Rounded up; in this form what follows from the size of a padded image is seen to be a whole number of cells."""
    return (size + divisor - 1) // divisor


def first(x: Tensor, axis: int, count: int) -> Tensor:
    """The first places of an axis, gathered: how a slice lies in memory depends on the sizes."""
    return x.index_select(axis, torch.arange(count, device=x.device))


def along(x: Tensor, axis: int, weights: Tensor) -> Tensor:
    """A linear map (M, N) of an axis of N places."""
    # A clone, since how the product is made otherwise depends on how the sizes let the turned axes lie in memory.
    turned = x.transpose(axis, -1).clone(memory_format=torch.contiguous_format)
    return F.linear(turned, weights).transpose(axis, -1)
