"""Recurrent layers for torch.export: one node per layer, whose batch and number of steps stay symbols.

torch writes an LSTM out step by step as it records, for as many steps as the example has. What comes of the node
after that, an operator of another format, is the exporter's business.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

# torch's own, with the arguments: x, state, weights, has_biases, layers, dropout, train, bidirectional, batch_first.
CELLS: Mapping[str, Callable[..., Any]] = {'lstm': torch.lstm, 'gru': torch.gru, 'rnn_tanh': torch.rnn_tanh}


@torch.library.custom_op('mmseq::recurrence', mutates_args=())
def recurrence(cell: str, x: Tensor, state: Tensor, weights: list[Tensor], batch_first: bool) -> Tensor:
    """One layer from a state of zeros; see :func:`record_recurrence`."""
    states = (state, state) if cell == 'lstm' else state
    y = CELLS[cell](x, states, weights, True, 1, 0.0, False, state.shape[0] == 2, batch_first)[0]
    # An operator may not answer with a view of other memory.
    return y.contiguous()


@recurrence.register_fake
def _(cell: str, x: Tensor, state: Tensor, weights: list[Tensor], batch_first: bool) -> Tensor:
    return x.new_empty(*x.shape[:2], state.shape[0] * state.shape[2])


def record_recurrence(cell: str, x: Tensor, weights: Sequence[Tensor], batch_first: bool) -> Tensor:
    """A recurrent layer of inference: (N, T, C), or (T, N, C) where the time comes first, to the same with n D.

    Args:
        cell: a name of ``CELLS``.
        x: any N and T.
        weights: in torch's order, four of the forward direction and, if it has one, four of the reverse.
        batch_first: whether N comes before T.
    """
    state = x.new_zeros(len(weights) // 4, x.shape[0 if batch_first else 1], weights[1].shape[1])
    return recurrence(cell, x, state, list(weights), batch_first)


def bilstm2d_recorded(x: Tensor, vertical: Sequence[Tensor], horizontal: Sequence[Tensor]) -> Tensor:
    """See :func:`mmseq.ops.bilstm2d`."""
    batch, height, width, channels = x.shape
    # A clone, since whether a view would do depends on the sizes.
    columns = x.transpose(0, 1).clone(memory_format=torch.contiguous_format).view(height, batch * width, channels)
    v = record_recurrence('lstm', columns, vertical, batch_first=False).view(height, batch, width, -1).transpose(0, 1)
    h = record_recurrence('lstm', x.reshape(batch * height, width, channels), horizontal, batch_first=True)
    return torch.cat([v, h.view(batch, height, width, -1)], dim=-1)
