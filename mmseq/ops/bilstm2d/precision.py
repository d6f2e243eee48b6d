"""In which dtype an LSTM runs: not every processor has kernels for low precision, and autocast does not ask for them.

On a CPU autocast hands the LSTM to oneDNN in its own dtype, and oneDNN raises where it has no kernel for that. On an
NVIDIA GPU it hands the LSTM to cuDNN in float16, whatever its dtype is. Here the dtype is chosen first, inputs and
weights are cast, and autocast is off.
"""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch
from torch import Tensor

LOW = (torch.bfloat16, torch.float16)
# The first cuDNN with bfloat16 in recurrent layers, and the compute capability that it wants for that.
CUDNN_BFLOAT16 = 91300
AMPERE = (8, 0)


def compute_dtype(
    asked: torch.dtype,
    device: str,
    onednn: Collection[torch.dtype] = (),
    cudnn: int = 0,
    capability: tuple[int, int] = (0, 0),
) -> torch.dtype:
    """The dtype that an LSTM's kernel gets: the one that is asked for if the device has it, else float32.

    Args:
        asked: autocast's dtype, or without autocast that of the input.
        device: the device's type; what is neither ``cpu`` nor ``cuda`` gets what is asked for.
        onednn: the low precisions that oneDNN has an LSTM for on this processor.
        cudnn: the version of cuDNN, such as 91300.
        capability: compute capability of the GPU.
    """
    if asked not in LOW or device not in ('cpu', 'cuda'):
        return asked
    if device == 'cpu':
        native = asked in onednn
    else:
        native = asked == torch.float16 or (cudnn >= CUDNN_BFLOAT16 and capability >= AMPERE)
    return asked if native else torch.float32


def autocasts(x: Tensor) -> bool:
    """Whether autocast would choose another dtype for ``x``: it leaves float64 alone."""
    device = x.device.type
    return x.dtype != torch.float64 and torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def asked_dtype(x: Tensor) -> torch.dtype:
    """The dtype that a layer of ``x`` answers in."""
    return torch.get_autocast_dtype(x.device.type) if autocasts(x) else x.dtype


def lstm_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which an LSTM over ``x`` runs here and now."""
    asked, device = asked_dtype(x), x.device
    if asked in LOW and device.type == 'cpu':
        return compute_dtype(asked, 'cpu', onednn=onednn_dtypes())
    if asked in LOW and device.type == 'cuda':
        version = torch.backends.cudnn.version() or 0
        return compute_dtype(asked, 'cuda', cudnn=version, capability=torch.cuda.get_device_capability(device))
    return asked


@lru_cache(maxsize=1)
def onednn_dtypes() -> frozenset[torch.dtype]:
    """The low precisions in which oneDNN trains an LSTM on this processor, as far as ONEDNN_MAX_CPU_ISA lets it."""
    # In a thread of its own, since autocast, tracing, compiling and inference are modes of the thread that asks.
    with ThreadPoolExecutor(1) as thread:
        return frozenset(dtype for dtype in LOW if thread.submit(has_onednn_lstm, dtype).result())


def has_onednn_lstm(dtype: torch.dtype) -> bool:
    """Train the smallest LSTM under autocast: torch asks oneDNN for it and passes on whether there is one."""
    x = torch.zeros(1, 1, 1, requires_grad=True)
    state, weights = torch.zeros(1, 1, 1), [torch.zeros(4, 1), torch.zeros(4, 1), torch.zeros(4), torch.zeros(4)]
    try:
        with torch.autocast('cpu', dtype):
            y = torch._VF.lstm(x, (state, state), weights, True, 1, 0.0, True, False, True)[0]
        y.sum().backward()
    except RuntimeError as error:
        # Of all that can go wrong this alone is an answer.
        if 'primitive' not in str(error):
            raise
        return False
    return True
