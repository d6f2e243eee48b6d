"""torch's own LSTM kernels: oneDNN on the CPU, cuDNN on NVIDIA GPUs."""

from collections.abc import Sequence

import torch
from torch import Tensor


def half_on_cpu(x: Tensor) -> bool:
    """Whether torch would ask oneDNN for a float16 LSTM, which it has on few of the processors that have float16."""
    low = torch.get_autocast_dtype('cpu') if torch.is_autocast_enabled('cpu') else x.dtype
    return x.device.type == 'cpu' and low == torch.float16


def scan(x: Tensor, weights: Sequence[Tensor], batch_first: bool) -> Tensor:
    """(N, T, C), or (T, N, C) where the time comes first, to the same with the hidden channels of all directions."""
    if half_on_cpu(x):
        with torch.autocast('cpu', enabled=False):
            return scan(x.float(), [w.float() for w in weights], batch_first).half()
    directions = len(weights) // 4
    state = x.new_zeros(directions, x.shape[0 if batch_first else 1], weights[1].shape[1])
    # has_biases, layers, dropout, train, bidirectional. Without dropout between layers "train" changes no value, but
    # cuDNN keeps what its backward needs only when it is set: a frozen stage must still pass gradients on.
    output, _, _ = torch._VF.lstm(
        x, (state, state), list(weights), True, 1, 0.0, torch.is_grad_enabled(), directions == 2, batch_first
    )
    return output


def scan_rows(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Along W: (B, H, W, C) to (B, H, W, D). Rows are consecutive in memory, so no copy is made."""
    batch, height, width, channels = x.shape
    return scan(x.reshape(batch * height, width, channels), weights, batch_first=True).view(batch, height, width, -1)


def scan_columns(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Along H: (B, H, W, C) to (B, H, W, D). One image is already time-major and is scanned where it lies."""
    batch, height, width, channels = x.shape
    if batch == 1:
        return scan(x[0], weights, batch_first=False).unsqueeze(0)
    columns = x.transpose(0, 1).reshape(height, batch * width, channels)
    return scan(columns, weights, batch_first=False).view(height, batch, width, -1).transpose(0, 1)


def bilstm2d_native(x: Tensor, vertical: Sequence[Tensor], horizontal: Sequence[Tensor]) -> Tensor:
    """See :func:`mmseq.ops.bilstm2d`."""
    return torch.cat([scan_columns(x, vertical), scan_rows(x, horizontal)], dim=-1)
