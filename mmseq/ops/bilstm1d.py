"""A bidirectional LSTM over sequences, with the scans of bilstm2d: the mixer of VSequencer (arXiv 2205.01972)."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from mmseq.ops.bilstm2d.native import prefer_native, scan
from mmseq.ops.bilstm2d.recorded import record_recurrence
from mmseq.ops.bilstm2d.reference import bidirectional_scan
from mmseq.ops.dispatch import choose, imported


def bilstm1d_reference(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """See :func:`mmseq.ops.bilstm1d`."""
    return bidirectional_scan(x.transpose(0, 1), weights).transpose(0, 1)


def bilstm1d_native(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """See :func:`mmseq.ops.bilstm1d`."""
    return scan(x, weights, batch_first=True)


def bilstm1d_recorded(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """See :func:`mmseq.ops.bilstm1d`."""
    return record_recurrence('lstm', x, weights, batch_first=True)


BACKENDS: Mapping[str, Callable[..., Tensor]] = {
    'reference': bilstm1d_reference,
    'native': bilstm1d_native,
    'triton': imported('mmseq.ops.bilstm2d.triton_impl', 'bilstm1d_triton'),
}


def bilstm1d(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Scan every sequence from both ends.

    Args:
        x: (B, T, C), any T >= 1.
        weights: in torch's order, as :func:`mmseq.ops.bilstm2d` takes them: four of the forward LSTM and, if it has
            one, four of the reverse LSTM.

    Returns:
        (B, T, n D): forward, then reverse.
    """
    return choose('bilstm1d', BACKENDS, lambda: prefer_native(x), x, exported=bilstm1d_recorded)(x, weights)
