"""Where a number that is not finite comes from: the iteration once more, with a hook on every module."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor, nn


@dataclass
class Call:
    """A forward pass that can be repeated: its arguments, and the random states before it."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    streams: tuple[Any, ...]

    @classmethod
    def now(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> 'Call':
        """The call that is about to be made; arguments are kept as they are, not copied."""
        return cls(args, kwargs, _streams())

    @contextmanager
    def randomness(self) -> Iterator[None]:
        """The random states of the call inside, those of now again afterwards."""
        before = _streams()
        _restore(self.streams)
        try:
            yield
        finally:
            _restore(before)


def find_cause(model: BaseModel, call: Call, optim_wrapper: OptimWrapper) -> str | None:
    """Repeat an iteration, forward and backward, and name the first module or gradient that is not finite.

    With synchronised batch norm all processes have to call it: it goes all the way whatever it finds.

    Args:
        model: the model without wrapper, weights as they were. Its batch statistics change, its gradients are dropped.
        call: the forward pass.
        optim_wrapper: gives the precision.

    Returns:
        A weight, the input, the module whose output is the first one, the module whose output gets the first such
        gradient, or the parameter nearest the loss that gets one; None where all is finite.
    """
    poisoned = [name for name, value in model.named_parameters() if not finite(value)]
    with call.randomness(), torch.enable_grad():
        outputs, arrived, gradients = _repeat(model, call, optim_wrapper)
    if poisoned:
        return f'the weight {poisoned[0]} (and {len(poisoned) - 1} more) is not finite before the iteration'
    if not finite((call.args, call.kwargs)):
        return 'the input batch is not finite'
    if outputs:
        return f'the first module whose output is not finite is {outputs[0]}'
    if arrived:
        return f'all outputs are finite, the first gradient that is not is that of the output of {arrived[0]}'
    if gradients:
        # Parameters stand in the order of the forward pass.
        return f'all outputs are finite, the gradient of {gradients[-1]} is not (one of {len(gradients)} parameters)'
    return None


def _repeat(model: BaseModel, call: Call, optim_wrapper: OptimWrapper) -> tuple[list[str], list[str], list[str]]:
    """Modules with a bad output, modules with a bad gradient of their output, parameters with a bad gradient."""
    outputs: list[str] = []
    arrived: list[str] = []

    def look(name: str, module: nn.Module, result: Any) -> None:
        called = f'{name or "the model"} ({type(module).__name__})'
        if isinstance(result, dict) and any('loss' in key for key in result):
            # What stands beside the losses, as accuracies, is not trained on.
            result = {key: value for key, value in result.items() if 'loss' in key}
        if not finite(result):
            outputs.append(called)
        for tensor in tensors(result):
            if tensor.requires_grad:
                tensor.register_hook(lambda grad: None if finite(grad) else arrived.append(called))

    handles = [
        module.register_forward_hook(lambda module, args, result, name=name: look(name, module, result))
        for name, module in model.named_modules()
    ]
    try:
        with optim_wrapper.optim_context(model):
            losses = model(*call.args, **call.kwargs)
    finally:
        for handle in handles:
            handle.remove()
    loss, _ = model.parse_losses(losses)
    loss.backward()
    gradients = [name for name, value in model.named_parameters() if value.grad is not None and not finite(value.grad)]
    model.zero_grad(set_to_none=True)
    return outputs, arrived, gradients


def tensors(value: Any) -> Iterator[Tensor]:
    """Floating-point tensors within nested containers."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)


def finite(value: Any) -> bool:
    """Whether all numbers within nested containers are finite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors(value))


def _streams() -> tuple[Any, ...]:
    # The state of the current GPU only: a process trains on one.
    gpu = torch.cuda.get_rng_state() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), gpu


def _restore(streams: tuple[Any, ...]) -> None:
    python, numpy, cpu, gpu = streams
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(cpu)
    if gpu is not None:
        torch.cuda.set_rng_state(gpu)
