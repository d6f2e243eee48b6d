"""Quadratic within chunks, recurrent between them: linear in the length, in time and in memory, forward and backward.

Shapes: G = batch times heads, K chunks of L steps, d channels of a head. The normaliser sum_j w_tj is what the memory
answers for a value that is 1 everywhere; v therefore carries one channel more than q and k, D = d + 1.

Everything is relative to the chunk's first step. With b_t the sum of log sigmoid(fgate) within the chunk up to t and
c_j = igate_j - b_j, the row maximum is m_t = b_t + M_t, where M_t is the larger of m before the chunk and c_1 .. c_t;
b_t then cancels out of every weight: step j weighs exp(c_j - M_t) at step t, and the memory from before the chunk
exp(m_before - M_t). Sums of gates are taken in float64: those of thousands of steps lose the digits that matter.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmseq.ops.mlstm.reference import EPS

# exp of it is still far from float32's largest, 3.4e38; a read over so small a memory is 0 either way.
LARGEST_EXPONENT = 80.0


class Weights(NamedTuple):
    """What the gates make of each step's share; see the file's docstring.

    The two that meet a query, ``within`` and ``before``, hold its factor 1 / sqrt(d) too.
    """

    within: Tensor  # (G, K, L, L) share of step j (last axis) at step t, 0 for j > t
    before: Tensor  # (G, K, L) share of the memory from before the chunk at step t
    write: Tensor  # (G, K, L) share of step j in the memory after the chunk
    keep: Tensor  # (G, K) share of the memory from before the chunk in that after it
    floor: Tensor  # (G, K, L) exp(-m_t), the least that the normaliser may be
    best: Tensor  # (G, K, L) the step whose weight is the row maximum, -1 for the memory from before the chunk


def weigh(igate: Tensor, fgate: Tensor, q: Tensor) -> Weights:
    """From preactivations (G, K, L), for queries of the channels and dtype of ``q``."""
    dtype, scale = q.dtype, q.shape[-1] ** -0.5
    b = F.logsigmoid(fgate.double()).cumsum(-1)
    c = igate.double() - b
    largest, best = c.cummax(-1)
    # m after each chunk, by the same argument one level up: chunks are the steps.
    b_chunk = b[..., -1].cumsum(-1)
    m_after = b_chunk + (largest[..., -1] - b_chunk + b[..., -1]).cummax(-1).values
    m_before = F.pad(m_after[:, :-1], (1, 0), value=-torch.inf)[..., None]
    m = torch.maximum(largest, m_before)
    return Weights(
        within=(c[..., None, :] - m[..., :, None]).to(dtype).exp_().tril_().mul_(scale),
        before=(m_before - m).to(dtype).exp() * scale,
        write=(c - m[..., -1:]).to(dtype).exp(),
        keep=(m_before - m[..., -1:]).to(dtype).exp()[..., 0],
        floor=(-b - m).clamp(max=LARGEST_EXPONENT).to(dtype).exp(),
        best=best.where(largest >= m_before, -1),
    )


def memories(k: Tensor, v: Tensor, weights: Weights) -> Tensor:
    """The memory after every chunk but the last: (G, K - 1, d, D)."""
    memory = (k * weights.write[..., None])[:, :-1].mT @ v[:, :-1]
    for i in range(1, memory.shape[1]):
        memory[:, i].addcmul_(memory[:, i - 1], weights.keep[:, i, None, None])
    return memory


def read(q: Tensor, k: Tensor, v: Tensor, weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted scores (G, K, L, L), memories (G, K - 1, d, D) and sums (G, K, L, D) before normalisation."""
    scores = (q @ k.mT).mul_(weights.within)
    memory = memories(k, v, weights)
    sums = scores @ v
    sums[:, 1:].addcmul_(q[:, 1:] @ memory, weights.before[:, 1:, :, None])
    return scores, memory, sums


def normaliser(sums: Tensor, weights: Weights) -> Tensor:
    """(G, K, L)."""
    return torch.maximum(sums[..., -1].abs(), weights.floor) + EPS


def gradient_of_max(slope: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """Where a gradient with respect to m_t ends up, which is its largest term.

    Args:
        slope: (G, K, L).

    Returns:
        What falls to step j by way of step t (G, K, L, L), and to the memory from before the chunk (G, K, L).
    """
    earlier = weights.best < 0
    for i in range(slope.shape[1] - 1, 0, -1):
        slope[:, i - 1, -1] += (slope[:, i] * earlier[:, i]).sum(-1)
    steps = torch.zeros_like(weights.within)
    steps.scatter_(-1, weights.best.clamp(min=0)[..., None], (slope * ~earlier)[..., None])
    return steps, slope * earlier


def gradient_of_gates(
    within: Tensor, before: Tensor, write: Tensor, keep: Tensor, fgate: Tensor
) -> tuple[Tensor, Tensor]:
    """From gradients with respect to the logarithms of all weights to those of both gates' preactivations.

    Args:
        within: (G, K, L, L), step j decays on its way to step t by the gates of j + 1 .. t.
        before: (G, K, L), the memory decays by those from the first to t.
        write: (G, K, L), step j decays by those of j + 1 to the last.
        keep: (G, K), the memory decays by all.
        fgate: preactivations (G, K, L).

    Nothing is subtracted: strong forgetting leaves small gradients, which a difference of sums would drown.
    """
    ones = torch.ones_like(within[0, 0]).triu()
    log_forget = (ones @ within).tril(-1).sum(-1)
    log_forget += before.flip(-1).cumsum(-1).flip(-1)
    log_forget += F.pad(write[..., :-1].cumsum(-1), (1, 0))
    log_forget += keep[..., None]
    return within.sum(-2) + write, log_forget * torch.sigmoid(-fgate.to(log_forget.dtype))


class Chunkwise(torch.autograd.Function):
    """Keeps its inputs alone, as they lie, and computes everything else again in the backward pass."""

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, chunk: int) -> Tensor:
        ctx.save_for_backward(q, k, v, igate, fgate)
        ctx.chunk = chunk
        return forward(q, k, v, igate, fgate, chunk)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(grad.device.type, enabled=False):
            return *backward(*ctx.saved_tensors, ctx.chunk, grad), None


def split(x: Tensor, chunk: int, fill: float = 0.0) -> Tensor:
    """``(B, heads, S, *)`` to ``(G, K, L, *)``: K chunks of one length, the last filled up."""
    length = x.shape[2]
    chunks = -(-length // chunk)
    steps = -(-length // chunks)
    missing = chunks * steps - length
    if missing:
        x = F.pad(x, (*(0, 0) * (x.dim() - 3), 0, missing), value=fill)
    return x.reshape(-1, chunks, steps, *x.shape[3:])


def join(x: Tensor, like: Tensor) -> Tensor:
    """Undo :func:`split`, in the dtype of ``like``."""
    return x.reshape(*like.shape[:2], -1, *x.shape[3:])[:, :, : like.shape[2]].to(like.dtype)


def prepare(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, chunk: int) -> tuple[Tensor, ...]:
    """Split into chunks and give the values their channel of ones."""
    dtype = torch.promote_types(q.dtype, torch.float32)
    q, k, v = (split(x.to(dtype), chunk) for x in (q, k, v))
    # A step whose input gate is shut is no step.
    return q, k, F.pad(v, (0, 1), value=1.0), split(igate, chunk, -torch.inf), split(fgate, chunk)


def forward(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, chunk: int) -> Tensor:
    """(B, heads, S, d)."""
    like = v
    q, k, v, igate, fgate = prepare(q, k, v, igate, fgate, chunk)
    weights = weigh(igate, fgate, q)
    _, _, sums = read(q, k, v, weights)
    return join(sums[..., :-1] / normaliser(sums, weights)[..., None], like.to(q.dtype))


def backward(
    q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, chunk: int, grad: Tensor
) -> tuple[Tensor, ...]:
    """Gradients of the first five inputs of :func:`forward`."""
    inputs = (q, k, v, igate, fgate)
    q, k, v, igate, fgate = prepare(*inputs, chunk)
    grad = split(grad, chunk)
    weights = weigh(igate, fgate, q)
    scores, memory, sums = read(q, k, v, weights)
    norm = normaliser(sums, weights)
    projected = (grad * sums[..., :-1]).sum(-1) / norm
    to_norm = torch.where(sums[..., -1].abs() > weights.floor, -projected / norm * sums[..., -1].sign(), 0)
    to_sums = torch.cat([grad / norm[..., None], to_norm[..., None]], dim=-1)
    # The maximum cancels from h but for the constant that is added to the normaliser.
    to_max, to_max_before = gradient_of_max(-EPS * projected / norm, weights)

    # By way of the scores within chunks, then by way of the memories between them.
    to_scores = to_sums @ v.mT
    log_within = (scores * to_scores).add_(to_max)
    to_products = to_scores.mul_(weights.within)
    to_q, to_k, to_v = to_products @ k, to_products.mT @ q, scores.mT @ to_sums

    to_memory = (q * weights.before[..., None])[:, 1:].mT @ to_sums[:, 1:]
    for i in range(to_memory.shape[1] - 1, 0, -1):
        to_memory[:, i - 1].addcmul_(to_memory[:, i], weights.keep[:, i, None, None])
    to_q_before = (to_sums[:, 1:] @ memory.mT).mul_(weights.before[:, 1:, :, None])
    to_k_write = (v[:, :-1] @ to_memory.mT).mul_(weights.write[:, :-1, :, None])
    to_q[:, 1:] += to_q_before
    to_k[:, :-1] += to_k_write
    to_v[:, :-1] += (k[:, :-1] @ to_memory).mul_(weights.write[:, :-1, :, None])

    to_max_before[:, 1:] += (q[:, 1:] * to_q_before).sum(-1)
    log_write = F.pad((k[:, :-1] * to_k_write).sum(-1), (0, 0, 0, 1))
    log_keep = torch.zeros_like(weights.keep)
    # The last chunk's memory is never read, and nothing stands before the first.
    log_keep[:, 1:-1] = weights.keep[:, 1:-1] * (to_memory[:, 1:] * memory[:, :-1]).sum((-2, -1))
    gates = gradient_of_gates(log_within, to_max_before, log_write, log_keep, fgate)
    found = (to_q, to_k, to_v[..., :-1], *gates)
    return tuple(join(x, like) for x, like in zip(found, inputs))


def mlstm_chunkwise(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, chunk: int | None = None) -> Tensor:
    """See :func:`mmseq.ops.mlstm`.

    Args:
        chunk: steps per chunk at most. None takes what measured best on a CPU for 1024 and 4096 steps, 64 for heads
            of up to 128 channels and 128 for wider ones; with it the memories (K d D) stay near the size of k and v.
    """
    chunk = chunk or (64 if q.shape[-1] <= 128 else 128)
    inputs = (q, k, v, igate, fgate)
    with torch.autocast(q.device.type, enabled=False):
        if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
            return Chunkwise.apply(*inputs, chunk)
        return forward(*inputs, chunk)
