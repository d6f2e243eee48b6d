"""Triton kernels of the mLSTM's forward pass: gates, memories between chunks, output.

G = batch times heads, K chunks of L steps, D channels of a head in tiles of BLOCK. Queries, keys, values, outputs and
their gradients lie as (B, S, heads, D). What belongs to a step lies as (G, K L) and is defined beyond the last step
too; what belongs to a chunk as (G, K). Notation and weights are those of chunkwise.py: c_j and M_t there are ``c`` and
``m`` here, kept in float64, and the four weights are ``within``, ``before``, ``write`` and ``keep``.
"""

import triton
import triton.language as tl

from mmseq.ops.mlstm.reference import EPS as REFERENCE_EPS
from mmseq.ops.mlstm.reference import LARGEST_EXPONENT
from mmseq.ops.triton_common import multiply

EPS = tl.constexpr(REFERENCE_EPS)
CAP = tl.constexpr(LARGEST_EXPONENT)
# The logarithm of a weight of nothing. Infinity less infinity would be NaN.
NOTHING = tl.constexpr(-1e30)


@triton.jit(do_not_specialize=['length', 'chunks'])
def gates_kernel(
    igate, fgate, c_out, m_out, floor_out, best_out, before_out, write_out, keep_out,
    length, chunks, scale, L: tl.constexpr,
):  # fmt: skip
    """One program per head walks the chunks with the row maximum; sums of gates are taken in float64."""
    g = tl.program_id(0).to(tl.int64)
    t = tl.arange(0, L)
    m_before = tl.max(tl.full((L,), NOTHING, tl.float64), axis=0)
    for chunk in range(chunks):
        step = chunk * L + t
        inside = step < length
        f = tl.load(fgate + g * length + step, mask=inside, other=0).to(tl.float64)
        i = tl.load(igate + g * length + step, mask=inside, other=0).to(tl.float64)
        log_forget = tl.minimum(f, 0.0) - tl.log(1.0 + tl.exp(-tl.abs(f)))
        # A step whose input gate is shut is no step.
        c = tl.where(inside, i - tl.cumsum(log_forget, 0), NOTHING)
        seen = tl.where(t[None, :] <= t[:, None], c[None, :], NOTHING)
        largest = tl.max(seen, axis=1)
        m = tl.maximum(largest, m_before)
        m_last = tl.max(m, axis=0)
        at = g * chunks * L + step
        tl.store(c_out + at, c)
        tl.store(m_out + at, m)
        tl.store(best_out + at, tl.where(largest >= m_before, tl.argmax(seen, axis=1), -1))
        exponent = tl.minimum(-tl.cumsum(log_forget, 0) - m, CAP)
        tl.store(floor_out + at, tl.exp(exponent.to(tl.float32)))
        tl.store(before_out + at, tl.exp((m_before - m).to(tl.float32)) * scale)
        tl.store(write_out + at, tl.exp((c - m_last).to(tl.float32)))
        tl.store(keep_out + g * chunks + chunk, tl.exp((m_before - m_last).to(tl.float32)))
        m_before = m_last + tl.sum(log_forget, axis=0)


@triton.jit
def shares(c_in, m_in, at, scale, L: tl.constexpr):
    """(L, L): exp(c_j - m_t) scale at row t and column j <= t, else 0.

    c and m are sums that lose their digits in float32, while differences of 64-bit tiles are slow: each is taken apart
    into two floats, whose leading ones cancel exactly where the weight is not tiny.
    """
    t = tl.arange(0, L)
    c = tl.load(c_in + at)
    m = tl.load(m_in + at)
    c_lead = c.to(tl.float32)
    m_lead = m.to(tl.float32)
    c_rest = (c - c_lead.to(tl.float64)).to(tl.float32)
    m_rest = (m - m_lead.to(tl.float64)).to(tl.float32)
    exponent = (c_lead[None, :] - m_lead[:, None]) + (c_rest[None, :] - m_rest[:, None])
    return tl.exp(tl.where(t[None, :] <= t[:, None], exponent, NOTHING)) * scale


@triton.jit
def tile(x, base, step, length, stride, column, D: tl.constexpr):
    """Rows ``step`` and columns ``column`` of one head: (L, BLOCK), 0 outside."""
    inside = (step[:, None] < length) & (column[None, :] < D)
    return tl.load(x + base + step[:, None] * stride + column[None, :], mask=inside, other=0)


@triton.jit
def square(memory, slot, i, j, exists, D: tl.constexpr):
    """A tile of the memory at ``slot``, 0 where there is none."""
    inside = (i[:, None] < D) & (j[None, :] < D) & exists
    return tl.load(memory + slot * D * D + i[:, None] * D + j[None, :], mask=inside, other=0)


@triton.jit(do_not_specialize=['length', 'chunks'])
def states_kernel(
    x, y, outer, ones, keep, memory, norm, length, chunks, heads,
    D: tl.constexpr, L: tl.constexpr, BLOCK: tl.constexpr, REVERSE: tl.constexpr,
    PRODUCT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program per head and tile walks the chunks, and leaves the memory after each but the last.

    memory = keep memory + sum_t outer_t x_t y_t, and norm = keep norm + sum_t ones_t x_t: forward x, y are keys and
    values. In REVERSE they are queries and the output's gradients, and what is left is the gradient of that memory.
    """
    g = tl.program_id(0).to(tl.int64)
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    j = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    base = ((g // heads) * length * heads + g % heads) * D
    inside = (i[:, None] < D) & (j[None, :] < D)
    total = tl.zeros((BLOCK, BLOCK), tl.float32)
    total_norm = tl.zeros((BLOCK,), tl.float32)
    for n in range(chunks - 1):
        chunk = n
        if REVERSE:
            chunk = chunks - 1 - n
        step = chunk * L + tl.arange(0, L)
        at = g * chunks * L + step
        x_tile = tile(x, base, step, length, heads * D, i, D).to(tl.float32)
        y_tile = tile(y, base, step, length, heads * D, j, D)
        kept = tl.load(keep + g * chunks + chunk)
        weighted = tl.trans(x_tile * tl.load(outer + at)[:, None])
        total = total * kept + multiply(weighted, y_tile, PRODUCT, PRECISION)
        total_norm = total_norm * kept + tl.sum(x_tile * tl.load(ones + at)[:, None], axis=0)
        slot = g * (chunks - 1) + chunk
        if REVERSE:
            slot -= 1
        tl.store(memory + slot * D * D + i[:, None] * D + j[None, :], total, mask=inside)
        tl.store(norm + slot * D + i, total_norm, mask=(i < D) & (tl.program_id(2) == 0))


@triton.jit(do_not_specialize=['length', 'chunks'])
def output_kernel(
    q, k, v, c, m, floor, before, memory, norm, h, weight, length, chunks, heads, scale,
    D: tl.constexpr, L: tl.constexpr, BLOCK: tl.constexpr, PRODUCT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program per head and chunk: h, and the sum of weights that the normaliser is made of (G, S)."""
    g = tl.program_id(0).to(tl.int64)
    chunk = tl.program_id(1)
    step = chunk * L + tl.arange(0, L)
    base = ((g // heads) * length * heads + g % heads) * D
    at = g * chunks * L + step
    slot = g * (chunks - 1) + chunk - 1
    scores = tl.zeros((L, L), tl.float32)
    read = tl.zeros((L,), tl.float32)
    for start in range(0, D, BLOCK):
        i = start + tl.arange(0, BLOCK)
        q_tile = tile(q, base, step, length, heads * D, i, D)
        k_tile = tile(k, base, step, length, heads * D, i, D)
        scores += multiply(q_tile, tl.trans(k_tile), PRODUCT, PRECISION)
        n_tile = tl.load(norm + slot * D + i, mask=(i < D) & (chunk > 0), other=0)
        read += tl.sum(q_tile.to(tl.float32) * n_tile[None, :], axis=1)
    scores *= shares(c, m, at, scale, L)
    share = tl.load(before + at)
    total = tl.sum(scores, axis=1) + share * read
    tl.store(weight + g * length + step, total, mask=step < length)
    divisor = tl.maximum(tl.abs(total), tl.load(floor + at)) + EPS
    for start in range(0, D, BLOCK):
        j = start + tl.arange(0, BLOCK)
        earlier = tl.zeros((L, BLOCK), tl.float32)
        for first in range(0, D, BLOCK):
            i = first + tl.arange(0, BLOCK)
            q_tile = tile(q, base, step, length, heads * D, i, D)
            earlier += multiply(q_tile, square(memory, slot, i, j, chunk > 0, D), PRODUCT, PRECISION)
        v_tile = tile(v, base, step, length, heads * D, j, D)
        sums = multiply(scores, v_tile, PRODUCT, PRECISION) + share[:, None] * earlier
        inside = (step[:, None] < length) & (j[None, :] < D)
        tl.store(h + base + step[:, None] * (heads * D) + j[None, :], sums / divisor[:, None], mask=inside)
