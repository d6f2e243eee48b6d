"""torch's own LSTM kernels: oneDNN on the CPU, cuDNN on NVIDIA GPUs."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from mmseq.ops.autocast import without_autocast
from mmseq.ops.bilstm2d.precision import asked_dtype, autocasts, lstm_dtype
from mmseq.ops.dispatch import Choice


def prefer_native(x: Tensor) -> Choice:
    """These kernels, on every device: Triton's are asked for by name until they have been measured on a GPU."""
    makers = {'cpu': 'oneDNN', 'cuda': 'cuDNN'}
    return Choice('native', f"torch's LSTM on {x.device.type}, {makers.get(x.device.type, 'its own')}")


def scan(x: Tensor, weights: Sequence[Tensor], batch_first: bool) -> Tensor:
    """(N, T, C), or (T, N, C) where the time comes first, to the same with the hidden channels of all directions.

    Low precision runs in float32 where the device has no kernel for it; the answer has the dtype that was asked for.
    """
    dtype, answer = lstm_dtype(x), asked_dtype(x)
    with without_autocast(x) if autocasts(x) else nullcontext():
        return lstm(x.to(dtype), chunk(weights, dtype), batch_first).to(answer)


def chunk(weights: Sequence[Tensor], dtype: torch.dtype) -> Sequence[Tensor]:
    """The weights in another dtype, or as they are; if they are copied, then at once, into one chunk of memory.

    A cast for each weight would be half of a step's launches. cuDNN copies weights that are no chunk at every call, and
    warns of it: those that are cast, and those that were divided among processes and gathered. In a chunk they lie as
    it wants them: the matrices of all directions, then the biases.
    """
    if all(w.dtype == dtype for w in weights) and (weights[0].device.type == 'cpu' or in_one_chunk(weights)):
        return weights
    order = sorted(range(len(weights)), key=lambda number: number % 4 // 2)
    flat = torch.cat([weights[number].reshape(-1) for number in order]).to(dtype)
    parts = flat.split([weights[number].numel() for number in order])
    found = {number: part.view(weights[number].shape) for number, part in zip(order, parts)}
    return [found[number] for number in range(len(weights))]


def in_one_chunk(weights: Sequence[Tensor]) -> bool:
    """Whether all lie in the memory of the first, as torch's modules keep them."""
    return len({w.untyped_storage()._cdata for w in weights}) == 1


def lstm(x: Tensor, weights: Sequence[Tensor], batch_first: bool) -> Tensor:
    """See :func:`scan`; in the one dtype that all have."""
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
    return scan(x.reshape(batch * height, width, channels), weights, batch_first=True).unflatten(0, (batch, height))


def scan_columns(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Along H: (B, H, W, C) to (B, H, W, D). One image is already time-major and is scanned where it lies."""
    batch, height, width, channels = x.shape
    if batch == 1:
        return scan(x[0], weights, batch_first=False).unsqueeze(0)
    columns = x.transpose(0, 1).reshape(height, batch * width, channels)
    return scan(columns, weights, batch_first=False).unflatten(1, (batch, width)).transpose(0, 1)


def bilstm2d_native(x: Tensor, vertical: Sequence[Tensor], horizontal: Sequence[Tensor]) -> Tensor:
    """See :func:`mmseq.ops.bilstm2d`."""
    # Cast once for both.
    given = x.to(lstm_dtype(x))
    return torch.cat([scan_columns(given, vertical), scan_rows(given, horizontal)], dim=-1).to(asked_dtype(x))
