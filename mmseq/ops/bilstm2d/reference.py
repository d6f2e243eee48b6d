"""The recurrence as it is written down; slow on purpose, the judge of every other backend."""

from collections.abc import Sequence

import torch
from torch import Tensor


def lstm_scan(x: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor) -> Tensor:
    """One LSTM over the first axis: (T, N, C) to (T, N, D), from a zero state."""
    hidden = x.new_zeros(x.shape[1], weight_hh.shape[1])
    cell = hidden
    outputs = []
    for step in x:
        gates = step @ weight_ih.T + bias_ih + hidden @ weight_hh.T + bias_hh
        i, f, g, o = gates.chunk(4, dim=-1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
        outputs.append(hidden)
    return torch.stack(outputs)


def bidirectional_scan(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """(T, N, C) to (T, N, D) with four weights, to (T, N, 2D) with eight."""
    scans = [lstm_scan(x, *weights[:4])]
    if len(weights) == 8:
        scans.append(lstm_scan(x.flip(0), *weights[4:]).flip(0))
    return torch.cat(scans, dim=-1)


def bilstm2d_reference(x: Tensor, vertical: Sequence[Tensor], horizontal: Sequence[Tensor]) -> Tensor:
    """See :func:`mmseq.ops.bilstm2d`."""
    batch, height, width, channels = x.shape
    columns = x.permute(1, 0, 2, 3).reshape(height, batch * width, channels)
    rows = x.permute(2, 0, 1, 3).reshape(width, batch * height, channels)
    v = bidirectional_scan(columns, vertical).unflatten(1, (batch, width)).permute(1, 0, 2, 3)
    h = bidirectional_scan(rows, horizontal).unflatten(1, (batch, height)).permute(1, 2, 0, 3)
    return torch.cat([v, h], dim=-1)
