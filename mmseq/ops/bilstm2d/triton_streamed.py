"""Scans whose recurrent weights do not fit on chip: BLOCK hidden channels at a time, weights read anew at every step.

Every program reads the same few hundred KB, so they stay in the GPU's L2 cache. The hidden state (forward) and the
gates' gradient (backward) of the step before are read back from the tensors that they were written to, the cell state
from ``state (programs ROWS, D)`` in float32. Legend of shapes: triton_resident.py.
"""

import triton
import triton.language as tl

from mmseq.ops.bilstm2d.triton_walk import assignment, product, tanh
from mmseq.ops.triton_common import rounded


@triton.jit(do_not_specialize=['batch', 'height', 'width'])
def forward_streamed(
    projected,
    weight_hh,
    out,
    gates,
    cells,
    state,
    batch,
    height,
    width,
    VERTICAL: tl.constexpr,
    SCANS: tl.constexpr,
    HIDDEN: tl.constexpr,
    BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
    KEEP: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Writes ``out`` and, where KEEP, the gates after their nonlinearity and the cell states."""
    scan, pixel, inside, steps, stride = assignment(batch, height, width, VERTICAL, ROWS)
    dtype: tl.constexpr = out.dtype.element_ty
    weight = weight_hh + scan * (4 * HIDDEN * HIDDEN)
    own = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None] * HIDDEN
    for step in range(steps):
        before = (pixel - stride)[:, None] * (SCANS * HIDDEN) + scan * HIDDEN
        # The first step has no state before it: the inner loop runs zero times.
        known = tl.where(step > 0, HIDDEN, 0)
        for start in range(0, HIDDEN, BLOCK):
            unit = start + tl.arange(0, BLOCK)
            here = inside[:, None] & (unit < HIDDEN)[None, :]
            wide = pixel[:, None] * (4 * SCANS * HIDDEN) + (scan * 4 * HIDDEN + unit)[None, :]
            i = tl.load(projected + wide, mask=here, other=0.0).to(tl.float32)
            f = tl.load(projected + wide + HIDDEN, mask=here, other=0.0).to(tl.float32)
            g = tl.load(projected + wide + 2 * HIDDEN, mask=here, other=0.0).to(tl.float32)
            o = tl.load(projected + wide + 3 * HIDDEN, mask=here, other=0.0).to(tl.float32)
            for first in range(0, known, BLOCK):
                inner = first + tl.arange(0, BLOCK)
                real = inner < HIDDEN
                hidden = tl.load(out + before + inner[None, :], mask=inside[:, None] & real[None, :], other=0.0)
                # Transposed while read: (in, out).
                square = real[:, None] & (unit < HIDDEN)[None, :]
                tile = weight + unit[None, :] * HIDDEN + inner[:, None]
                weight_i = tl.load(tile, mask=square, other=0.0)
                weight_f = tl.load(tile + HIDDEN * HIDDEN, mask=square, other=0.0)
                weight_g = tl.load(tile + 2 * HIDDEN * HIDDEN, mask=square, other=0.0)
                weight_o = tl.load(tile + 3 * HIDDEN * HIDDEN, mask=square, other=0.0)
                i = product(hidden, weight_i, i, PRECISION)
                f = product(hidden, weight_f, f, PRECISION)
                g = product(hidden, weight_g, g, PRECISION)
                o = product(hidden, weight_o, o, PRECISION)
            i, f, g, o = tl.sigmoid(i), tl.sigmoid(f), tanh(g), tl.sigmoid(o)
            cell = f * tl.load(state + own + unit[None, :], mask=here & (step > 0), other=0.0) + i * g
            tl.store(state + own + unit[None, :], cell, mask=here)
            narrow = pixel[:, None] * (SCANS * HIDDEN) + (scan * HIDDEN + unit)[None, :]
            tl.store(out + narrow, rounded(o * tanh(cell), dtype), mask=here)
            if KEEP:
                tl.store(cells + narrow, rounded(cell, dtype), mask=here)
                tl.store(gates + wide, rounded(i, dtype), mask=here)
                tl.store(gates + wide + HIDDEN, rounded(f, dtype), mask=here)
                tl.store(gates + wide + 2 * HIDDEN, rounded(g, dtype), mask=here)
                tl.store(gates + wide + 3 * HIDDEN, rounded(o, dtype), mask=here)
        # The next step reads what other threads of this program have written.
        tl.debug_barrier()
        pixel += stride


@triton.jit(do_not_specialize=['batch', 'height', 'width'])
def backward_streamed(
    grad_out,
    weight_hh,
    gates,
    cells,
    grad_projected,
    state,
    batch,
    height,
    width,
    VERTICAL: tl.constexpr,
    SCANS: tl.constexpr,
    HIDDEN: tl.constexpr,
    BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Walks from the last step to the first and writes the gradient of the gates before their nonlinearity."""
    scan, pixel, inside, steps, stride = assignment(batch, height, width, VERTICAL, ROWS)
    pixel += (steps - 1) * stride
    dtype: tl.constexpr = grad_projected.dtype.element_ty
    weight = weight_hh + scan * (4 * HIDDEN * HIDDEN)
    own = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None] * HIDDEN
    for step in range(steps):
        after = (pixel + stride)[:, None] * (4 * SCANS * HIDDEN) + scan * 4 * HIDDEN
        # The last step of the scan has none after it: the inner loop runs zero times.
        known = tl.where(step > 0, 4 * HIDDEN, 0)
        for start in range(0, HIDDEN, BLOCK):
            unit = start + tl.arange(0, BLOCK)
            here = inside[:, None] & (unit < HIDDEN)[None, :]
            wide = pixel[:, None] * (4 * SCANS * HIDDEN) + (scan * 4 * HIDDEN + unit)[None, :]
            narrow = pixel[:, None] * (SCANS * HIDDEN) + (scan * HIDDEN + unit)[None, :]
            grad_hidden = tl.load(grad_out + narrow, mask=here, other=0.0).to(tl.float32)
            for first in range(0, known, BLOCK):
                inner = first + tl.arange(0, BLOCK)
                real = inner < 4 * HIDDEN
                grads = tl.load(
                    grad_projected + after + inner[None, :], mask=inside[:, None] & real[None, :], other=0.0
                )
                square = real[:, None] & (unit < HIDDEN)[None, :]
                tile = tl.load(weight + inner[:, None] * HIDDEN + unit[None, :], mask=square, other=0.0)
                grad_hidden = product(grads, tile, grad_hidden, PRECISION)

            i = tl.load(gates + wide, mask=here, other=0.0).to(tl.float32)
            f = tl.load(gates + wide + HIDDEN, mask=here, other=0.0).to(tl.float32)
            g = tl.load(gates + wide + 2 * HIDDEN, mask=here, other=0.0).to(tl.float32)
            o = tl.load(gates + wide + 3 * HIDDEN, mask=here, other=0.0).to(tl.float32)
            squashed = tanh(tl.load(cells + narrow, mask=here, other=0.0).to(tl.float32))
            earlier = here & (step < steps - 1)
            cell_before = tl.load(cells + narrow - stride * (SCANS * HIDDEN), mask=earlier, other=0.0).to(tl.float32)
            grad_cell = tl.load(state + own + unit[None, :], mask=here & (step > 0), other=0.0)
            grad_cell += grad_hidden * o * (1 - squashed * squashed)
            tl.store(state + own + unit[None, :], grad_cell * f, mask=here)
            tl.store(grad_projected + wide, rounded(grad_cell * g * i * (1 - i), dtype), mask=here)
            tl.store(grad_projected + wide + HIDDEN, rounded(grad_cell * cell_before * f * (1 - f), dtype), mask=here)
            tl.store(grad_projected + wide + 2 * HIDDEN, rounded(grad_cell * i * (1 - g * g), dtype), mask=here)
            tl.store(
                grad_projected + wide + 3 * HIDDEN, rounded(grad_hidden * squashed * o * (1 - o), dtype), mask=here
            )
        # The next step reads what other threads of this program have written.
        tl.debug_barrier()
        pixel -= stride
