"""Quadratic within chunks, recurrent between them: linear in the length, in time and in memory, forward and backward.

Shapes: G = batch times heads, K chunks of L steps, d channels of a head. The normaliser sum_j w_tj is what the memory
answers for a value that is 1 everywhere; v therefore carries one channel more than q and k, D = d + 1.

Everything is relative to the chunk's first step. With b_t the sum of log sigmoid(fgate) within the chunk up to t and
c_j = igate_j - b_j, the row maximum is m_t = b_t + M_t, where M_t is the larger of m before the chunk and c_1 .. c_t;
b_t then cancels out of every weight: step j weighs exp(c_j - M_t) at step t, and the memory from before the chunk
exp(m_before - M_t). Sums of gates are taken in float64: those of thousands of steps lose the digits that matter.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmseq.ops.autocast import without_autocast
from mmseq.ops.differentiable import by_formula, formula_wanted
from mmseq.ops.mlstm.parallel import mlstm_parallel
from mmseq.ops.mlstm.reference import EPS, LARGEST_EXPONENT

# The memories of so many chunks come of one product, where a loop over chunks would call several operators for each.
# What it multiplies grows with their number and is still little beside the chunks' own products.
AT_ONCE = 16


class Weights(NamedTuple):
    """What the gates make of each step's share; see the file's docstring.

    The two that meet a query, ``within`` and ``before``, hold its factor 1 / sqrt(d) too.
    """

    within: Tensor  # (G, K, L, L) share of step j (last axis) at step t, 0 for j > t
    before: Tensor  # (G, K, L) share of the memory from before the chunk at step t
    write: Tensor  # (G, K, L) share of step j in the memory after the chunk
    log_keep: Tensor  # (G, K) of the share of the memory from before the chunk in that after it, in float64
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
        # The first chunk finds an empty memory: it may keep it.
        log_keep=F.pad((m_before - m[..., -1:])[:, 1:, 0], (1, 0)),
        floor=(-b - m).clamp(max=LARGEST_EXPONENT).to(dtype).exp(),
        best=best.where(largest >= m_before, -1),
    )


def carry(x: Tensor, log_keep: Tensor, reverse: bool = False) -> Tensor:
    """What stands before every chunk of what the chunks before it have written, and how that goes back.

    Args:
        x: what each chunk writes (G, K, d, D); in reverse the gradient with respect to the memory before each.
        log_keep: of :class:`Weights`.
        reverse: from the last chunk to the first.

    Returns:
        (G, K, d, D), the memory before each chunk; in reverse the gradient with respect to what each writes.
    """
    flat, count = x.flatten(2), x.shape[1]
    after = log_keep.cumsum(-1)
    before = F.pad(after[:, :-1], (1, 0))
    found: list[Tensor] = []
    starts = range(0, count, AT_ONCE)
    for start in reversed(starts) if reverse else starts:
        stop = min(start + AT_ONCE, count)
        part = slice(start, stop)
        # Of what chunk j (last axis) wrote, before chunk k.
        left = (before[:, part, None] - after[:, None, part]).to(x.dtype).exp().tril_(-1)
        mine = (left.mT if reverse else left) @ flat[:, part]
        if found:
            # What the chunks done so far pass on, by way of the one at their edge.
            edge = slice(stop, stop + 1) if reverse else slice(start - 1, start)
            nearest = found[-1][:, :1] if reverse else found[-1][:, -1:]
            carried = torch.addcmul(flat[:, edge], log_keep[:, edge, None].to(x.dtype).exp(), nearest)
            share = after[:, stop - 1, None] - after[:, part] if reverse else before[:, part] - before[:, start, None]
            mine.addcmul_(share.to(x.dtype).exp()[..., None], carried)
        found.append(mine)
    whole = found[0] if len(found) == 1 else torch.cat(found[::-1] if reverse else found, dim=1)
    return whole.view_as(x)


def add_product(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """x + a @ b in the memory of x, for all chunks."""
    x.flatten(0, 1).baddbmm_(a.flatten(0, 1), b.flatten(0, 1))
    return x


def normaliser(sums: Tensor, weights: Weights) -> Tensor:
    """(G, K, L), from the sums of the weights."""
    return torch.maximum(sums.abs(), weights.floor) + EPS


def add_gradient_of_max(slope: Tensor, weights: Weights, within: Tensor) -> Tensor:
    """Where a gradient with respect to m_t ends up, which is the largest term.

    Args:
        slope: (G, K, L).
        weights: of the same steps.
        within: (G, K, L, L), gets what falls to step j by way of step t.

    Returns:
        What falls to the memory from before the chunk (G, K, L).
    """
    earlier = weights.best < 0
    # The memory's own maximum is that of the last step of the chunk before, whose largest term may be earlier still.
    ends = F.pad((~earlier[..., -1]).cumsum(-1)[:, :-1], (1, 0))
    same = (ends[:, :, None] == ends[:, None, :]).triu().to(slope.dtype)
    slope[:, :-1, -1] += (same @ (slope * earlier).sum(-1, keepdim=True))[:, 1:, 0]
    within.scatter_add_(-1, weights.best.clamp(min=0)[..., None], (slope * ~earlier)[..., None])
    return slope * earlier


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
    ones = within.new_ones(within.shape[-2:]).triu()
    log_forget = (ones @ within).tril(-1).sum(-1)
    log_forget += before.flip(-1).cumsum(-1).flip(-1)
    log_forget += F.pad(write[..., :-1].cumsum(-1), (1, 0))
    log_forget += keep[..., None]
    return within.sum(-2) + write, log_forget * torch.sigmoid(-fgate.to(log_forget.dtype))


class Chunkwise(torch.autograd.Function):
    """Keeps its inputs, its output and the sums of the weights, and makes all else again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, chunk: int) -> Tensor:
        h, total = forward(q, k, v, igate, fgate, chunk)
        ctx.save_for_backward(q, k, v, igate, fgate, h, total)
        ctx.chunk = chunk
        return h

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, igate, fgate, h, total = ctx.saved_tensors
        with without_autocast(grad):
            if formula_wanted(grad):
                return *by_formula(mlstm_parallel, (q, k, v, igate, fgate), grad), None
            return *backward(q, k, v, igate, fgate, ctx.chunk, h, total, grad), None


def split(x: Tensor, chunk: int, fill: float = 0.0) -> Tensor:
    """``(B, heads, S, *)`` to ``(G, K, L, *)``: K chunks of one length, the last filled up."""
    length = x.shape[2]
    chunks = -(-length // chunk)
    steps = -(-length // chunks)
    missing = chunks * steps - length
    if missing:
        x = F.pad(x, (*(0, 0) * (x.dim() - 3), 0, missing), value=fill)
    # Of a view that is no block of memory every product would make a copy of its own.
    return x.flatten(0, 1).unflatten(1, (chunks, steps)).contiguous()


def join(x: Tensor, like: Tensor) -> Tensor:
    """Undo :func:`split`, in the dtype of ``like``."""
    return x.flatten(1, 2).unflatten(0, like.shape[:2])[:, :, : like.shape[2]].to(like.dtype)


def prepare(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, chunk: int) -> tuple[Tensor, ...]:
    """Split into chunks and give the values their channel of ones."""
    dtype = torch.promote_types(q.dtype, torch.float32)
    q, k = (split(x.to(dtype), chunk) for x in (q, k))
    batch, heads, length, d = v.shape
    values = q.new_empty(*q.shape[:-1], d + 1)
    values[..., d] = 1
    rows = values.view(batch, heads, q.shape[1] * q.shape[2], d + 1)
    rows[:, :, :length, :d] = v
    rows[:, :, length:, :d] = 0
    # A step whose input gate is shut is no step.
    return q, k, values, split(igate, chunk, -torch.inf), split(fgate, chunk)


def forward(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """h (B, heads, S, d), and the sums of the weights by chunks (G, K, L)."""
    like = v
    q, k, v, igate, fgate = prepare(q, k, v, igate, fgate, chunk)
    weights = weigh(igate, fgate, q)
    scores = (q @ k.mT).mul_(weights.within)
    memory = carry((k * weights.write[..., None]).mT @ v, weights.log_keep)
    sums = add_product((q @ memory).mul_(weights.before[..., None]), scores, v)
    total = sums[..., -1].contiguous()
    return join(sums[..., :-1] / normaliser(total, weights)[..., None], like.to(q.dtype)), total


def backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    igate: Tensor,
    fgate: Tensor,
    chunk: int,
    h: Tensor,
    total: Tensor,
    grad: Tensor,
) -> tuple[Tensor, ...]:
    """Gradients of the first five inputs of :func:`forward`, from both of its results and the gradient of the first."""
    inputs = (q, k, v, igate, fgate)
    q, k, v, igate, fgate = prepare(*inputs, chunk)
    h, grad = split(h, chunk), split(grad, chunk)
    weights = weigh(igate, fgate, q)
    scores = (q @ k.mT).mul_(weights.within)
    written = k * weights.write[..., None]
    memory = carry(written.mT @ v, weights.log_keep)

    norm = normaliser(total, weights)
    to_read = grad / norm[..., None]
    # Summed from what the values meet as well: where one step is all that counts, the two cancel.
    projected = (to_read * h).sum(-1)
    to_total = torch.where(total.abs() > weights.floor, -projected * total.sign(), 0)
    to_sums = torch.cat([to_read, to_total[..., None]], dim=-1)

    # By way of the memories between chunks, and by way of the scores within them.
    to_written = carry((q * weights.before[..., None]).mT @ to_sums, weights.log_keep, reverse=True)
    to_scores = to_sums @ v.mT
    log_within = scores * to_scores
    to_products = to_scores.mul_(weights.within)
    to_q = (to_sums @ memory.mT).mul_(weights.before[..., None])
    log_before = (q * to_q).sum(-1)
    to_k = (v @ to_written.mT).mul_(weights.write[..., None])
    log_write = (k * to_k).sum(-1)
    log_keep = (to_written * memory).sum((-2, -1)) * weights.log_keep.exp().to(memory.dtype)
    to_q, to_k = add_product(to_q, to_products, k), add_product(to_k, to_products.mT, q)
    to_v = add_product(written @ to_written[..., :-1], scores.mT, to_read)

    # The maximum cancels from h but for the constant that is added to the normaliser.
    log_before += add_gradient_of_max(-EPS * projected, weights, log_within)
    gates = gradient_of_gates(log_within, log_before, log_write, log_keep, fgate)
    return tuple(join(x, like) for x, like in zip((to_q, to_k, to_v, *gates), inputs))


def mlstm_chunkwise(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, chunk: int | None = None) -> Tensor:
    """See :func:`mmseq.ops.mlstm`.

    Args:
        chunk: steps per chunk at most. None takes what measured best on a CPU for 1024 and 4096 steps, 64 for heads
            of up to 128 channels and 128 for wider ones; with it the memories (K d D) stay near the size of k and v.
    """
    chunk = chunk or (64 if q.shape[-1] <= 128 else 128)
    inputs = (q, k, v, igate, fgate)
    with without_autocast(q):
        if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
            return Chunkwise.apply(*inputs, chunk)
        return forward(*inputs, chunk)[0]
