"""Triton kernels of the mLSTM's backward pass; layout and names as in triton_forward.py.

The memories between chunks are computed again by its ``states_kernel``, whose reversed walk gives their gradients.
With n_t the normaliser, g_t the gradient of h_t and s_t the sum of weights, what h says of them is

    to_sums_t = g_t / n_t,   to_norm_t = -(g_t . h_t) sign(s_t) / n_t where |s_t| is the normaliser, else 0,
    slope_t = -EPS (g_t . h_t) / n_t, the gradient of the row maximum, which cancels but for the constant in n_t.
"""

import triton
import triton.language as tl

from mmseq.ops.mlstm.triton_forward import EPS, shares, square, tile
from mmseq.ops.triton_common import multiply, rounded


@triton.jit(do_not_specialize=['length', 'chunks'])
def rows_kernel(
    grad, h, floor, before, weight, inverse, to_norm, slope, outer, ones, length, chunks, heads,
    D: tl.constexpr, L: tl.constexpr, BLOCK: tl.constexpr, PRODUCT: tl.constexpr,
):  # fmt: skip
    """One program per head and chunk: 1 / n_t, to_norm, slope, and the rows' weights in the memories' gradients."""
    g = tl.program_id(0).to(tl.int64)
    step = tl.program_id(1) * L + tl.arange(0, L)
    base = ((g // heads) * length * heads + g % heads) * D
    at = g * chunks * L + step
    projected = tl.zeros((L,), tl.float32)
    for start in range(0, D, BLOCK):
        j = start + tl.arange(0, BLOCK)
        # Rounded as where it meets the values: the two products cancel in the gates' gradients.
        grad_tile = rounded(tile(grad, base, step, length, heads * D, j, D), PRODUCT).to(tl.float32)
        projected += tl.sum(grad_tile * tile(h, base, step, length, heads * D, j, D), axis=1)
    total = tl.load(weight + g * length + step, mask=step < length, other=0)
    least = tl.load(floor + at)
    share = tl.load(before + at)
    inv = 1.0 / (tl.maximum(tl.abs(total), least) + EPS)
    to_total = tl.where(total > least, -projected, tl.where(-total > least, projected, 0.0)) * inv
    tl.store(inverse + at, inv)
    tl.store(to_norm + at, to_total)
    tl.store(slope + at, -projected * inv * EPS)
    tl.store(outer + at, share * inv)
    tl.store(ones + at, share * to_total)


@triton.jit(do_not_specialize=['chunks'])
def chain_kernel(slope, best, earlier, chunks, L: tl.constexpr):
    """One program per head: a maximum from before its chunk is the last one of the chunk before."""
    g = tl.program_id(0).to(tl.int64)
    t = tl.arange(0, L)
    carried = tl.sum(tl.zeros((L,), tl.float32), axis=0)
    for n in range(chunks):
        at = (g * chunks + chunks - 1 - n) * L + t
        value = tl.load(slope + at) + tl.where(t == L - 1, carried, 0.0)
        passed_on = tl.where(tl.load(best + at) < 0, value, 0.0)
        tl.store(slope + at, value)
        tl.store(earlier + at, passed_on)
        carried = tl.sum(passed_on, axis=0)


@triton.jit(do_not_specialize=['length', 'chunks'])
def keys_kernel(
    q, k, v, grad, fgate, c, m, best, before, write, keep, inverse, to_norm, slope, earlier,
    memory, norm, to_memory, to_memory_norm, to_q, to_k, to_igate, to_fgate, length, chunks, heads, scale,
    D: tl.constexpr, L: tl.constexpr, BLOCK: tl.constexpr, PRODUCT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program per head and chunk: gradients of queries, keys and gates.

    Nothing is subtracted on the way to the forget gates, as in chunkwise.py: sums run over what a gate decays.
    """
    g = tl.program_id(0).to(tl.int64)
    chunk = tl.program_id(1)
    t = tl.arange(0, L)
    step = chunk * L + t
    base = ((g // heads) * length * heads + g % heads) * D
    at = g * chunks * L + step
    slot = g * (chunks - 1) + chunk

    scores = tl.zeros((L, L), tl.float32)
    to_scores = tl.zeros((L, L), tl.float32)
    for start in range(0, D, BLOCK):
        i = start + tl.arange(0, BLOCK)
        k_tile = tile(k, base, step, length, heads * D, i, D)
        v_tile = tile(v, base, step, length, heads * D, i, D)
        scores += multiply(tile(q, base, step, length, heads * D, i, D), tl.trans(k_tile), PRODUCT, PRECISION)
        to_scores += multiply(tile(grad, base, step, length, heads * D, i, D), tl.trans(v_tile), PRODUCT, PRECISION)
    inv = tl.load(inverse + at)[:, None]
    to_total = tl.load(to_norm + at)[:, None]
    share = tl.load(before + at)[:, None]
    written = tl.load(write + at)[:, None]
    within = shares(c, m, at, scale, L)
    to_scores = to_scores * inv + to_total
    log_within = scores * within * to_scores
    log_within += tl.where(tl.load(best + at)[:, None] == t[None, :], tl.load(slope + at)[:, None], 0.0)
    to_products = to_scores * within
    # Summed up at once: the next loop needs the registers.
    passed = t[None, :] < t[:, None]
    log_forget = tl.sum(tl.where(passed, tl.cumsum(log_within, 0, reverse=True), 0.0), axis=1)
    log_igate = tl.sum(log_within, axis=0)

    log_before = tl.load(earlier + at)
    log_write = tl.zeros((L,), tl.float32)
    kept = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, D, BLOCK):
        i = start + tl.arange(0, BLOCK)
        q_tile = tile(q, base, step, length, heads * D, i, D)
        k_tile = tile(k, base, step, length, heads * D, i, D)
        # What the memory before the chunk says to the queries, and what the one after it asks of the keys.
        n_tile = tl.load(norm + (slot - 1) * D + i, mask=(i < D) & (chunk > 0), other=0)
        to_n_tile = tl.load(to_memory_norm + slot * D + i, mask=(i < D) & (chunk < chunks - 1), other=0)
        read = tl.zeros((L, BLOCK), tl.float32)
        asked = tl.zeros((L, BLOCK), tl.float32)
        kept += n_tile * to_n_tile
        for other in range(0, D, BLOCK):
            j = other + tl.arange(0, BLOCK)
            held = square(memory, slot - 1, i, j, chunk > 0, D)
            to_held = square(to_memory, slot, i, j, chunk < chunks - 1, D)
            grad_tile = tile(grad, base, step, length, heads * D, j, D)
            read += multiply(grad_tile, tl.trans(held), PRODUCT, PRECISION)
            v_tile = tile(v, base, step, length, heads * D, j, D)
            asked += multiply(v_tile, tl.trans(to_held), PRODUCT, PRECISION)
            kept += tl.sum(held * to_held, axis=1)
        read = (read * inv + to_total * n_tile[None, :]) * share
        asked = (asked + to_n_tile[None, :]) * written
        log_before += tl.sum(q_tile.to(tl.float32) * read, axis=1)
        log_write += tl.sum(k_tile.to(tl.float32) * asked, axis=1)
        read += multiply(to_products, k_tile, PRODUCT, PRECISION)
        asked += multiply(tl.trans(to_products), q_tile, PRODUCT, PRECISION)
        place = base + step[:, None] * (heads * D) + i[None, :]
        inside = (step[:, None] < length) & (i[None, :] < D)
        tl.store(to_q + place, rounded(read, to_q.dtype.element_ty), mask=inside)
        tl.store(to_k + place, rounded(asked, to_k.dtype.element_ty), mask=inside)

    log_forget += tl.cumsum(log_before, 0, reverse=True)
    log_forget += tl.sum(tl.where(passed, log_write[None, :], 0.0), axis=1)
    log_forget += tl.sum(kept, axis=0) * tl.load(keep + g * chunks + chunk)
    place = g * length + step
    f = tl.load(fgate + place, mask=step < length, other=0).to(tl.float32)
    log_igate += log_write
    tl.store(to_igate + place, rounded(log_igate, to_igate.dtype.element_ty), mask=step < length)
    small = tl.exp(-tl.abs(f))
    to_f = log_forget * tl.where(f > 0, small, 1.0) / (1.0 + small)
    tl.store(to_fgate + place, rounded(to_f, to_fgate.dtype.element_ty), mask=step < length)


@triton.jit(do_not_specialize=['length', 'chunks'])
def values_kernel(
    q, k, grad, c, m, write, inverse, to_memory, to_v, length, chunks, heads, scale,
    D: tl.constexpr, L: tl.constexpr, BLOCK: tl.constexpr, PRODUCT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program per head and chunk: gradients of the values."""
    g = tl.program_id(0).to(tl.int64)
    chunk = tl.program_id(1)
    step = chunk * L + tl.arange(0, L)
    base = ((g // heads) * length * heads + g % heads) * D
    at = g * chunks * L + step
    slot = g * (chunks - 1) + chunk
    scores = tl.zeros((L, L), tl.float32)
    for start in range(0, D, BLOCK):
        i = start + tl.arange(0, BLOCK)
        k_tile = tile(k, base, step, length, heads * D, i, D)
        scores += multiply(tile(q, base, step, length, heads * D, i, D), tl.trans(k_tile), PRODUCT, PRECISION)
    scores *= shares(c, m, at, scale, L) * tl.load(inverse + at)[:, None]
    written = tl.load(write + at)[:, None]
    for start in range(0, D, BLOCK):
        j = start + tl.arange(0, BLOCK)
        asked = tl.zeros((L, BLOCK), tl.float32)
        for other in range(0, D, BLOCK):
            i = other + tl.arange(0, BLOCK)
            k_tile = tile(k, base, step, length, heads * D, i, D)
            asked += multiply(k_tile, square(to_memory, slot, i, j, chunk < chunks - 1, D), PRODUCT, PRECISION)
        grad_tile = tile(grad, base, step, length, heads * D, j, D)
        total = multiply(tl.trans(scores), grad_tile, PRODUCT, PRECISION) + written * asked
        inside = (step[:, None] < length) & (j[None, :] < D)
        place = base + step[:, None] * (heads * D) + j[None, :]
        tl.store(to_v + place, rounded(total, to_v.dtype.element_ty), mask=inside)
