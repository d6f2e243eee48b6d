"""What both pairs of Triton kernels share: which sequences a program walks, products, activations."""

import triton
import triton.language as tl

from mmseq.ops.triton_common import INTERPRETED


@triton.jit
def tanh(x):
    # tl has no tanh that its interpreter knows; exp overflows to inf and the quotient is then exactly 0.
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def product(a, b, total, PRECISION: tl.constexpr):
    """a @ b + total, summed in float32."""
    # The interpreter holds bfloat16 as integers and would multiply those.
    if INTERPRETED:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, total, input_precision=PRECISION)


@triton.jit
def assignment(batch, height, width, VERTICAL: tl.constexpr, ROWS: tl.constexpr):
    """The scan of this program, its ROWS first pixels, which of them exist, the number of steps, pixels per step.

    Programs are numbered scan by scan, VERTICAL directions along H first. A pixel is its number in (B, H, W); a
    reverse scan begins at the other end and steps back.
    """
    program = tl.program_id(0)
    tiles_v = tl.cdiv(batch * width, ROWS)
    tiles_h = tl.cdiv(batch * height, ROWS)
    down = program < VERTICAL * tiles_v
    program = tl.where(down, program, program - VERTICAL * tiles_v)
    tiles = tl.where(down, tiles_v, tiles_h)
    direction = program // tiles
    scan = tl.where(down, direction, VERTICAL + direction)
    steps = tl.where(down, height, width)
    stride = tl.where(down, width, 1).to(tl.int64)

    row = (program % tiles).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = row < tl.where(down, batch * width, batch * height)
    pixel = tl.where(down, row // width * height * width + row % width, row * width)
    pixel += direction * (steps - 1) * stride
    return scan, pixel, inside, steps, stride * (1 - 2 * direction)
