"""mLSTM cells: a recurrence with a matrix as memory and exponential gates (xLSTM, arXiv 2405.04517, section 2.3)."""

from collections.abc import Callable, Mapping

from torch import Tensor

from mmseq.ops.dispatch import Choice, choose, imported
from mmseq.ops.mlstm.chunkwise import mlstm_chunkwise
from mmseq.ops.mlstm.parallel import mlstm_parallel, mlstm_plain
from mmseq.ops.mlstm.reference import mlstm_reference

BACKENDS: Mapping[str, Callable[..., Tensor]] = {
    'reference': mlstm_reference,
    'chunkwise': mlstm_chunkwise,
    'triton': imported('mmseq.ops.mlstm.triton_impl', 'mlstm_triton'),
}


def mlstm(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor) -> Tensor:
    """Read the memory at every step of a sequence after writing to it.

    With F_t the sum of log sigmoid(fgate) up to step t, the logarithm of what step j <= t still weighs at step t is
    F_t - F_j + igate_j; m_t, its largest over j, is taken off before anything is exponentiated:

        w_tj = exp(F_t - F_j + igate_j - m_t) (q_t . k_j) / sqrt(d)
        h_t  = sum_j w_tj v_j / (max(|sum_j w_tj|, exp(-m_t)) + 1e-6)

    Args:
        q: queries (B, heads, S, d), any S >= 1, any strides.
        k: keys, the same shape.
        v: values, the same shape.
        igate: preactivations of the exponential input gate (B, heads, S).
        fgate: preactivations of the sigmoid forget gate (B, heads, S).

    Returns:
        (B, heads, S, d) in float64 for float64 queries, else in float32: where the normaliser is small, h exceeds
        what half precision holds. Autocast is off inside.
    """
    chunkwise = Choice('chunkwise', 'linear in the length, on any device')
    run = choose('mlstm', BACKENDS, lambda: chunkwise, q, exported=mlstm_parallel, plain=mlstm_plain)
    return run(q, k, v, igate, fgate)
