"""BiLSTM2D scans: a bidirectional LSTM over every column and one over every row (arXiv 2205.01972, section 3.2)."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmseq.errors import InputError
from mmseq.ops.bilstm2d.native import bilstm2d_native
from mmseq.ops.bilstm2d.reference import bilstm2d_reference
from mmseq.ops.dispatch import choose


def bilstm2d_triton(x: Tensor, vertical: Sequence[Tensor], horizontal: Sequence[Tensor]) -> Tensor:
    """See :func:`bilstm2d`. Imports triton at its first call: it is slow to import, and some platforms have none."""
    if find_spec('triton') is None:
        raise InputError('bilstm2d: backend triton needs the package triton: install it or use native')
    from mmseq.ops.bilstm2d import triton_impl

    return triton_impl.bilstm2d_triton(x, vertical, horizontal)


BACKENDS: Mapping[str, Callable[..., Tensor]] = {
    'reference': bilstm2d_reference,
    'native': bilstm2d_native,
    'triton': bilstm2d_triton,
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
            and cell states (20 D numbers per cell, twice that of the result and the input of a Sequencer2D layer).

    Returns:
        (B, H, W, n D): vertical forward and reverse, then horizontal forward and reverse.
    """
    run = choose('bilstm2d', BACKENDS, 'native', x)
    if recompute and torch.is_grad_enabled():
        return checkpoint(run, x, vertical, horizontal, use_reentrant=False, preserve_rng_state=False)
    return run(x, vertical, horizontal)
