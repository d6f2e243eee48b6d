"""Scans whose recurrent weights stay on chip: read once per program, then one step of ROWS sequences after another.

Legend: P pixels (B H W), S scans, D hidden. ``projected, gates, grad_projected (P, S, 4D)``; ``out, cells, grad_out
(P, S, D)``; ``weight_hh (S, 4D, D)``. Channels are padded on chip to PADDED, a power of two; padded ones stay 0.
"""

import triton
import triton.language as tl

from mmseq.ops.bilstm2d.triton_walk import assignment, product, tanh
from mmseq.ops.triton_common import rounded


@triton.jit(do_not_specialize=['batch', 'height', 'width'])
def forward_resident(
    projected,
    weight_hh,
    out,
    gates,
    cells,
    batch,
    height,
    width,
    VERTICAL: tl.constexpr,
    SCANS: tl.constexpr,
    HIDDEN: tl.constexpr,
    PADDED: tl.constexpr,
    ROWS: tl.constexpr,
    KEEP: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Writes ``out`` and, where KEEP, the gates after their nonlinearity and the cell states."""
    scan, pixel, inside, steps, stride = assignment(batch, height, width, VERTICAL, ROWS)
    dtype: tl.constexpr = out.dtype.element_ty
    unit = tl.arange(0, PADDED)
    here = inside[:, None] & (unit < HIDDEN)[None, :]

    # Transposed while read: (in, out).
    square = (unit < HIDDEN)[:, None] & (unit < HIDDEN)[None, :]
    weight = weight_hh + scan * (4 * HIDDEN * HIDDEN) + unit[None, :] * HIDDEN + unit[:, None]
    weight_i = tl.load(weight, mask=square, other=0.0)
    weight_f = tl.load(weight + HIDDEN * HIDDEN, mask=square, other=0.0)
    weight_g = tl.load(weight + 2 * HIDDEN * HIDDEN, mask=square, other=0.0)
    weight_o = tl.load(weight + 3 * HIDDEN * HIDDEN, mask=square, other=0.0)

    hidden = tl.zeros((ROWS, PADDED), dtype)
    cell = tl.zeros((ROWS, PADDED), tl.float32)
    # Two stages: the next step's inputs are under way while this one computes.
    for _ in tl.range(0, steps, num_stages=2):
        wide = pixel[:, None] * (4 * SCANS * HIDDEN) + (scan * 4 * HIDDEN + unit)[None, :]
        i = tl.load(projected + wide, mask=here, other=0.0).to(tl.float32)
        f = tl.load(projected + wide + HIDDEN, mask=here, other=0.0).to(tl.float32)
        g = tl.load(projected + wide + 2 * HIDDEN, mask=here, other=0.0).to(tl.float32)
        o = tl.load(projected + wide + 3 * HIDDEN, mask=here, other=0.0).to(tl.float32)
        i = tl.sigmoid(product(hidden, weight_i, i, PRECISION))
        f = tl.sigmoid(product(hidden, weight_f, f, PRECISION))
        g = tanh(product(hidden, weight_g, g, PRECISION))
        o = tl.sigmoid(product(hidden, weight_o, o, PRECISION))
        cell = f * cell + i * g
        hidden = rounded(o * tanh(cell), dtype)
        narrow = pixel[:, None] * (SCANS * HIDDEN) + (scan * HIDDEN + unit)[None, :]
        tl.store(out + narrow, hidden, mask=here)
        if KEEP:
            tl.store(cells + narrow, rounded(cell, dtype), mask=here)
            tl.store(gates + wide, rounded(i, dtype), mask=here)
            tl.store(gates + wide + HIDDEN, rounded(f, dtype), mask=here)
            tl.store(gates + wide + 2 * HIDDEN, rounded(g, dtype), mask=here)
            tl.store(gates + wide + 3 * HIDDEN, rounded(o, dtype), mask=here)
        pixel += stride


@triton.jit(do_not_specialize=['batch', 'height', 'width'])
def backward_resident(
    grad_out,
    weight_hh,
    gates,
    cells,
    grad_projected,
    batch,
    height,
    width,
    VERTICAL: tl.constexpr,
    SCANS: tl.constexpr,
    HIDDEN: tl.constexpr,
    PADDED: tl.constexpr,
    ROWS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Walks from the last step to the first and writes the gradient of the gates before their nonlinearity."""
    scan, pixel, inside, steps, stride = assignment(batch, height, width, VERTICAL, ROWS)
    pixel += (steps - 1) * stride
    dtype: tl.constexpr = grad_projected.dtype.element_ty
    unit = tl.arange(0, PADDED)
    here = inside[:, None] & (unit < HIDDEN)[None, :]

    square = (unit < HIDDEN)[:, None] & (unit < HIDDEN)[None, :]
    weight = weight_hh + scan * (4 * HIDDEN * HIDDEN) + unit[:, None] * HIDDEN + unit[None, :]
    weight_i = tl.load(weight, mask=square, other=0.0)
    weight_f = tl.load(weight + HIDDEN * HIDDEN, mask=square, other=0.0)
    weight_g = tl.load(weight + 2 * HIDDEN * HIDDEN, mask=square, other=0.0)
    weight_o = tl.load(weight + 3 * HIDDEN * HIDDEN, mask=square, other=0.0)

    grad_hidden = tl.zeros((ROWS, PADDED), tl.float32)
    grad_cell = tl.zeros((ROWS, PADDED), tl.float32)
    for step in tl.range(0, steps, num_stages=2):
        wide = pixel[:, None] * (4 * SCANS * HIDDEN) + (scan * 4 * HIDDEN + unit)[None, :]
        narrow = pixel[:, None] * (SCANS * HIDDEN) + (scan * HIDDEN + unit)[None, :]
        i = tl.load(gates + wide, mask=here, other=0.0).to(tl.float32)
        f = tl.load(gates + wide + HIDDEN, mask=here, other=0.0).to(tl.float32)
        g = tl.load(gates + wide + 2 * HIDDEN, mask=here, other=0.0).to(tl.float32)
        o = tl.load(gates + wide + 3 * HIDDEN, mask=here, other=0.0).to(tl.float32)
        squashed = tanh(tl.load(cells + narrow, mask=here, other=0.0).to(tl.float32))
        earlier = here & (step < steps - 1)
        cell_before = tl.load(cells + narrow - stride * (SCANS * HIDDEN), mask=earlier, other=0.0).to(tl.float32)

        grad_hidden += tl.load(grad_out + narrow, mask=here, other=0.0).to(tl.float32)
        grad_cell += grad_hidden * o * (1 - squashed * squashed)
        grad_i = rounded(grad_cell * g * i * (1 - i), dtype)
        grad_f = rounded(grad_cell * cell_before * f * (1 - f), dtype)
        grad_g = rounded(grad_cell * i * (1 - g * g), dtype)
        grad_o = rounded(grad_hidden * squashed * o * (1 - o), dtype)
        grad_cell *= f
        tl.store(grad_projected + wide, grad_i, mask=here)
        tl.store(grad_projected + wide + HIDDEN, grad_f, mask=here)
        tl.store(grad_projected + wide + 2 * HIDDEN, grad_g, mask=here)
        tl.store(grad_projected + wide + 3 * HIDDEN, grad_o, mask=here)

        grad_hidden = product(grad_i, weight_i, tl.zeros((ROWS, PADDED), tl.float32), PRECISION)
        grad_hidden = product(grad_f, weight_f, grad_hidden, PRECISION)
        grad_hidden = product(grad_g, weight_g, grad_hidden, PRECISION)
        grad_hidden = product(grad_o, weight_o, grad_hidden, PRECISION)
        pixel -= stride
