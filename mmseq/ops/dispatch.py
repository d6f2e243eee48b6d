"""Choice of an operator's backend: per call, from dtype, device and shape, logged once with the reason."""

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from torch import Tensor

from mmseq.errors import InputError
from mmseq.ops.differentiable import transformed
from mmseq.ops.symbolic import exporting

_asked: ContextVar[str | None] = ContextVar('mmseq_backend', default=None)
_said: set[tuple[str, str, str]] = set()


@contextmanager
def use(backend: str) -> Iterator[None]:
    """Run every operator in the block with this backend and no other.

    Args:
        backend: ``reference``, ``native``, ...; what an operator offers stands in its ``BACKENDS``.

    The environment variable ``MMSEQ_BACKEND`` does the same for a whole process.
    """
    token = _asked.set(backend)
    try:
        yield
    finally:
        _asked.reset(token)


def asked() -> str | None:
    """The backend that was asked for by name."""
    return _asked.get() or os.environ.get('MMSEQ_BACKEND')


def imported(module: str, function: str) -> Callable[..., Tensor]:
    """A Triton backend by name, imported at its first call: triton is slow to import and not everywhere."""

    def call(*args: Any) -> Tensor:
        if not importlib.util.find_spec('triton'):
            raise InputError('triton is not installed: install it, or choose another backend (MMSEQ_BACKEND)')
        return getattr(importlib.import_module(module), function)(*args)

    return call


class Choice(NamedTuple):
    """A backend and why it is the one for a call: ``large map on the CPU``."""

    name: str
    reason: str


def choose(
    operator: str,
    backends: Mapping[str, Callable[..., Any]],
    prefer: Callable[[], Choice],
    example: Tensor,
    exported: Callable[..., Any] | None = None,
    beside: Collection[str] = (),
    plain: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """The backend for one call: the one asked for by name, else what the operator prefers.

    Args:
        operator: the operator's name, for messages.
        backends: what the operator offers.
        prefer: the operator's own choice, from the call's dtype, device and shape; asked if nobody else has chosen.
        example: the first input.
        exported: what torch.export records, for inference at any size; None is the operator's own choice.
        beside: backends of other operators that this one stands beside in a model, and does not offer itself: where one
            of them is asked for, it takes its own choice, and logs that.
        plain: what torch.func transforms, in torch's own functions alone; None is the reference.

    Raises:
        InputError: a backend was asked for by name that this operator does not have; it never falls back.
    """
    named = asked()
    if named and named not in (*backends, *beside):
        raise InputError(f'{operator} has no backend {named!r}: choose one of {", ".join(backends)} (MMSEQ_BACKEND)')
    if named is not None and named in backends:
        name, reason = named, 'asked for by name'
    elif exported is not None and exporting():
        say(operator, exported.__name__, example.device.type, 'torch.export is recording')
        return exported
    elif transformed():
        plain = plain or backends['reference']
        say(operator, plain.__name__, example.device.type, 'torch.func or forward-mode differentiation is at work')
        return plain
    else:
        name, reason = prefer()
        reason = f'{reason}; it has no {named}' if named else reason
    say(operator, name, example.device.type, reason)
    return backends[name]


def say(operator: str, name: str, device: str, reason: str) -> None:
    """Log which backend runs, the first time."""
    if (operator, name, device) not in _said:
        _said.add((operator, name, device))
        logging.getLogger('mmseq').info('%s runs on backend %s: %s', operator, name, reason)
