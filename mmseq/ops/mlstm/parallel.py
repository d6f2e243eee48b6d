"""Quadratic within chunks and between them, without a loop: for torch.export, where their number is a symbol,
and for whoever transforms or differentiates it by torch's own means.

Shapes and terms are those of :mod:`mmseq.ops.mlstm.chunkwise`: G = batch times heads, K chunks of L steps, d channels
of a head, D = d + 1. What differs is the memory before a chunk: not carried from chunk to chunk, but a weighted sum of
what each earlier chunk wrote, for all chunks at once. With f_k the sum of log sigmoid(fgate) up to the end of chunk k,
chunk j's writes, taken relative to their largest u_j, weigh exp(f_k - f_j + u_j - m_k) after chunk k. That is the
formula of the steps one level up, and a product of (K, K) with (K, d D).

The product's arithmetic, S^2 d D / L^2, grows with the square of the length S; it passes the 2 S d D of writing and
reading all memories at S = 2 L^2, 8192 steps. Memory grows linearly but for the K^2 weights.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from mmseq.ops.autocast import without_autocast
from mmseq.ops.mlstm.reference import EPS, LARGEST_EXPONENT
from mmseq.ops.symbolic import ceil_div, first

CHUNK = 64


def up_to_itself(x: Tensor) -> Tensor:
    """Of (..., T, T), what falls to step t (last but one axis) from itself and earlier steps (last axis); else -inf."""
    steps = torch.arange(x.shape[-1], device=x.device)
    return torch.where(steps <= steps[:, None], x, -torch.inf)


def running_max(x: Tensor) -> Tensor:
    """Of (..., T) along the last axis. Few formats know a cumulative maximum."""
    return up_to_itself(x[..., None, :].expand(*x.shape, x.shape[-1])).amax(-1)


def split(x: Tensor, fill: float = 0.0) -> Tensor:
    """``(B, heads, S, *)`` to ``(G, K, L, *)``, the last chunk filled up."""
    length = x.shape[2]
    missing = ceil_div(length, CHUNK) * CHUNK - length
    # A clone, since padding with nothing leaves turned axes turned.
    x = x.clone(memory_format=torch.contiguous_format)
    x = F.pad(x, (*(0, 0) * (x.dim() - 3), 0, missing), value=fill)
    return x.flatten(0, 1).unflatten(1, (-1, CHUNK))


def memories(k: Tensor, v: Tensor, c: Tensor, largest: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The memory before every chunk (G, K, d, D), relative to exp of its m (G, K)."""
    written = (k * (c - largest[..., -1:]).to(k.dtype).exp()[..., None]).mT @ v
    forgotten = b[..., -1].cumsum(-1)
    # c of the chunks: what they wrote, less what was forgotten up to their end.
    c_chunk = largest[..., -1] + b[..., -1] - forgotten
    largest_chunk = running_max(c_chunk)
    weights = up_to_itself(c_chunk[..., None, :] - largest_chunk[..., None]).to(k.dtype).exp()
    memory = (weights @ written.flatten(2)).view(written.shape)
    # From after every chunk to before the next; before the first there is none.
    m = F.pad(forgotten + largest_chunk, (1, 0), value=-torch.inf)
    return first(F.pad(memory, (0, 0, 0, 0, 1, 0)), 1, k.shape[1]), first(m, 1, k.shape[1])


def mlstm_parallel(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor) -> Tensor:
    """See :func:`mmseq.ops.mlstm`."""
    batch, heads, length, d = q.shape
    dtype = torch.promote_types(q.dtype, torch.float32)
    q, k, v = (split(x.to(dtype)) for x in (q, k, v))
    q, v = q * d**-0.5, F.pad(v, (0, 1), value=1.0)
    b = F.logsigmoid(split(fgate.double())).cumsum(-1)
    # A step whose input gate is shut is no step.
    c = split(igate.double(), -torch.inf) - b
    largest = running_max(c)
    memory, m_before = memories(k, v, c, largest, b)
    m = torch.maximum(largest, m_before[..., None])
    within = up_to_itself(c[..., None, :] - m[..., None]).to(dtype).exp()
    before = (m_before[..., None] - m).to(dtype).exp()
    sums = (q @ k.mT * within) @ v + q @ memory * before[..., None]
    floor = (-b - m).clamp(max=LARGEST_EXPONENT).to(dtype).exp()
    h = sums[..., :-1] / (torch.maximum(sums[..., -1].abs(), floor) + EPS)[..., None]
    return first(h.flatten(1, 2).unflatten(0, (batch, heads)), 2, length)


def mlstm_plain(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor) -> Tensor:
    """See :func:`mmseq.ops.mlstm`; an exporter would write autocast down."""
    with without_autocast(q):
        return mlstm_parallel(q, k, v, igate, fgate)
