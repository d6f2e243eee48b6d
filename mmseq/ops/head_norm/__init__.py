"""What follows Vision-LSTM's mLSTM (arXiv 2406.04303): a norm of each head's channels, and the skip past the cell."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mmseq.ops.dispatch import Choice, choose
from mmseq.ops.head_norm.group_norm import head_norm_group_norm
from mmseq.ops.head_norm.native import head_norm_native
from mmseq.ops.head_norm.reference import head_norm_reference
from mmseq.ops.symbolic import eager_on_cpu, why_not_eager

BACKENDS: Mapping[str, Callable[..., Tensor]] = {
    'reference': head_norm_reference,
    'group_norm': head_norm_group_norm,
    'native': head_norm_native,
}


def head_norm(h: Tensor, weight: Tensor, bias: Tensor | None, eps: float, skip: Tensor, c: Tensor) -> Tensor:
    """weight norm(h) + bias + skip c, where the norm takes mean and variance over d of each step and head.

    Args:
        h: what the mLSTM answers (B, N, S, d).
        weight: (N d,).
        bias: (N d,), or None.
        eps: added to the variance.
        skip: factors of c (N d,).
        c: what the cell was given (B, S, N d).

    Returns:
        (B, S, N d) in the wider dtype of c and weight.
    """

    def prefer() -> Choice:
        if not eager_on_cpu(h):
            return Choice('group_norm', why_not_eager(h))
        if not h.dtype == c.dtype == skip.dtype == weight.dtype:
            return Choice('group_norm', 'inputs of several dtypes')
        return Choice('native', 'eager code on the CPU, one dtype')

    run = choose('head_norm', BACKENDS, prefer, h, beside=('chunkwise', 'triton'))
    return run(h, weight, bias, eps, skip, c).to(torch.promote_types(c.dtype, weight.dtype))
