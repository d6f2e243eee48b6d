"""When an operator's own gradients do not serve: transforms, and gradients of gradients. The formula has them all."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad


def transformed() -> bool:
    """Whether torch.func (grad, vmap, jvp, ...) or forward-mode differentiation is at work, in eager code."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def several(grad: Tensor) -> bool:
    """Whether it is several gradients in one, as ``is_grads_batched`` hands them over."""
    return torch._C._functorch.is_legacy_batchedtensor(grad)


def formula_wanted(grad: Tensor) -> bool:
    """Whether a backward pass will be differentiated again (``create_graph``), or is for several gradients at once."""
    if torch.compiler.is_compiling():
        return False
    return torch.is_grad_enabled() or several(grad) or transformed()


def by_formula(formula: Callable[..., Tensor], inputs: Sequence[Any], grad: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of a formula that are differentiable themselves.

    Args:
        formula: an operator in torch's own functions.
        inputs: of it; the gradients are those of the tensors that want one.
        grad: of the formula's answer.

    Returns:
        One per input, None for what wants none.
    """
    with torch.enable_grad():
        # Views, so that an input which depends on another does not pass its gradient on to that.
        local = [x.view_as(x) if isinstance(x, Tensor) else x for x in inputs]
        wanted = [x for x in local if isinstance(x, Tensor) and x.requires_grad]
        found = iter(torch.autograd.grad(formula(*local), wanted, grad, create_graph=True))
    return tuple(next(found) if isinstance(x, Tensor) and x.requires_grad else None for x in local)
