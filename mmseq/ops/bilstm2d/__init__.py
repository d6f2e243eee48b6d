"""BiLSTM2D scans: a bidirectional LSTM over every column and one over every row (arXiv 2205.01972, section 3.2)."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmseq.ops.bilstm2d.native import bilstm2d_native, prefer_native
from mmseq.ops.bilstm2d.recorded import bilstm2d_recorded
from mmseq.ops.bilstm2d.reference import bilstm2d_reference
from mmseq.ops.differentiable import transformed
from mmseq.ops.dispatch import choose, imported

BACKENDS: Mapping[str, Callable[..., Tensor]] = {
    'reference': bilstm2d_reference,
    'native': bilstm2d_native,
    'triton': imported('mmseq.ops.bilstm2d.triton_impl', 'bilstm2d_triton'),
}


def bilstm2d(x: Tensor, vertical: Sequence[Tensor], horizontal: Sequence[Tensor], recompute: bool = False) -> Tensor:
    """Scan an image's columns and rows with two LSTMs and join what they say of each cell.

    Args:
        x: (B, H, W, C), any H, W >= 1 and any strides.
        vertical: the weights of the LSTM that runs along H, in torch's order and with its gate order (i, f, g, o):
            ``weight_ih (4D, C), weight_hh (4D, D), bias_ih (4D,), bias_hh (4D,)``, and the same four again for the
            reverse direction if it has one.
        horizontal: the weights of the LSTM that runs along W.
        recompute: keep only ``x`` for the backward, which then runs the forward again, instead of keeping the gates
            and cell states: with four scans 20 D numbers per cell, five times the result.

    Returns:
        (B, H, W, n D): vertical forward and reverse, then horizontal forward and reverse.
    """
    run = choose('bilstm2d', BACKENDS, lambda: prefer_native(x), x, exported=bilstm2d_recorded)
    if recompute and torch.is_grad_enabled() and not transformed():
        return checkpoint(run, x, vertical, horizontal, use_reentrant=False, preserve_rng_state=False)
    return run(x, vertical, horizontal)
