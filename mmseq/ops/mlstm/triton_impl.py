"""The chunkwise mLSTM on Triton kernels, registered as torch operators; the mathematics is chunkwise.py's.

The backward pass keeps the inputs, h and one number per step. The memories between chunks are not kept: with d = 384
and L = 64 they are 9216 bytes per step and head, beside 3840 for queries, keys and values in bfloat16 and h in float32.
One of the forward's three kernels makes them again, and they live no longer than the backward pass.
"""

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from mmseq.ops.mlstm import triton_backward as bwd
from mmseq.ops.mlstm import triton_forward as fwd
from mmseq.ops.triton_common import need_machine, products

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# Of the kernels with L by L tiles: with four they spill from the registers, and keys_kernel with loads ahead of time.
WARPS = 8


class Plan(NamedTuple):
    """What all launches of one call share; see triton_forward.py for the letters."""

    heads: int
    length: int
    chunks: int
    groups: int
    tiles: int
    scale: float
    constants: dict[str, Any]

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.length, self.chunks, self.heads


class Gates(NamedTuple):
    """What ``gates_kernel`` makes of the gates, in its order."""

    c: Tensor  # (G, K L) float64
    m: Tensor  # (G, K L) float64
    floor: Tensor  # (G, K L)
    best: Tensor  # (G, K L) int32
    before: Tensor  # (G, K L)
    write: Tensor  # (G, K L)
    keep: Tensor  # (G, K)


def plan(q: Tensor, chunk: int) -> Plan:
    """Lengths, tiles and grids for queries (B, heads, S, d)."""
    batch, heads, length, d = q.shape
    # tl.dot multiplies 16 by 16 at least. Tiles of 32 fit 96, 192 and 384 without padding; wider ones spill from the
    # registers in the backward pass.
    steps = max(16, min(chunk, triton.next_power_of_2(length)))
    block = 32 if d > 16 else 16
    constants = {'D': d, 'L': steps, 'BLOCK': block}
    return Plan(heads, length, triton.cdiv(length, steps), batch * heads, triton.cdiv(d, block), d**-0.5, constants)


def as_laid(x: Tensor) -> Tensor:
    """(B, heads, S, d) that lies as (B, S, heads, d): so the layer hands it over, and nothing is copied."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def like_laid(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Uninitialised, with the layout of :func:`as_laid`."""
    batch, heads, length, d = x.shape
    return x.new_empty(batch, length, heads, d, dtype=dtype).transpose(1, 2)


def weigh(igate: Tensor, fgate: Tensor, p: Plan) -> Gates:
    """From preactivations (B, heads, S), contiguous."""
    steps = p.chunks * p.constants['L']
    wide = (torch.float64, torch.float64, torch.float32, torch.int32, torch.float32, torch.float32)
    out = [igate.new_empty(p.groups, steps, dtype=dtype) for dtype in wide]
    out.append(igate.new_empty(p.groups, p.chunks, dtype=torch.float32))
    fwd.gates_kernel[(p.groups,)](igate, fgate, *out, p.length, p.chunks, p.scale, L=p.constants['L'])
    return Gates(*out)


def memories(
    x: Tensor, y: Tensor, outer: Tensor, ones: Tensor, keep: Tensor, p: Plan, numbers: dict[str, Any], reverse: bool
) -> tuple[Tensor, Tensor]:
    """The memory after every chunk but the last, or its gradient: (G, K - 1, d, d), and the norm's (G, K - 1, d)."""
    d = p.constants['D']
    memory = x.new_empty(p.groups, p.chunks - 1, d, d, dtype=torch.float32)
    norm = x.new_empty(p.groups, p.chunks - 1, d, dtype=torch.float32)
    if p.chunks > 1:
        fwd.states_kernel[(p.groups, p.tiles, p.tiles)](
            x, y, outer, ones, keep, memory, norm, *p.sizes, **p.constants, **numbers, REVERSE=reverse
        )
    return memory, norm


# A launch goes to the current device, which need not be the tensors'.
@torch.library.custom_op('mmseq::mlstm', mutates_args=())
def run_forward(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """h (B, heads, S, d) in float32, and every step's sum of weights (B, heads, S), which the backward pass needs."""
    p, numbers = plan(q, chunk), products(q.dtype)
    q, k, v = as_laid(q), as_laid(k), as_laid(v)
    with torch.cuda.device_of(q):
        gates = weigh(igate.contiguous(), fgate.contiguous(), p)
        memory, norm = memories(k, v, gates.write, gates.write, gates.keep, p, numbers, reverse=False)
        h, weight = like_laid(q, torch.float32), q.new_empty(q.shape[:3], dtype=torch.float32)
        fwd.output_kernel[(p.groups, p.chunks)](
            q, k, v, gates.c, gates.m, gates.floor, gates.before, memory, norm, h, weight, *p.sizes, p.scale,
            **p.constants, **numbers, num_warps=WARPS,
        )  # fmt: skip
    return h, weight


@run_forward.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    return like_laid(q, torch.float32), q.new_empty(q.shape[:3], dtype=torch.float32)


@torch.library.custom_op('mmseq::mlstm_backward', mutates_args=())
def run_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, h: Tensor, weight: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v, igate and fgate, each in its dtype."""
    p, numbers = plan(q, chunk), products(q.dtype)
    grad, q, k, v, h = (as_laid(x) for x in (grad, q, k, v, h))
    igate, fgate = igate.contiguous(), fgate.contiguous()
    with torch.cuda.device_of(q):
        gates = weigh(igate, fgate, p)
        inverse, to_norm, slope, outer, ones, earlier = (torch.empty_like(gates.floor) for _ in range(6))
        grid = (p.groups, p.chunks)
        bwd.rows_kernel[grid](
            grad, h, gates.floor, gates.before, weight, inverse, to_norm, slope, outer, ones, *p.sizes, **p.constants,
            PRODUCT=numbers['PRODUCT'],
        )  # fmt: skip
        bwd.chain_kernel[(p.groups,)](slope, gates.best, earlier, p.chunks, L=p.constants['L'])
        memory, norm = memories(k, v, gates.write, gates.write, gates.keep, p, numbers, reverse=False)
        to_memory, to_memory_norm = memories(q, grad, outer, ones, gates.keep, p, numbers, reverse=True)
        to_q, to_k, to_v = (like_laid(x, x.dtype) for x in (q, k, v))
        to_igate, to_fgate = torch.empty_like(igate), torch.empty_like(fgate)
        bwd.keys_kernel[grid](
            q, k, v, grad, fgate, gates.c, gates.m, gates.best, gates.before, gates.write, gates.keep, inverse, to_norm,
            slope, earlier, memory, norm, to_memory, to_memory_norm, to_q, to_k, to_igate, to_fgate, *p.sizes, p.scale,
            **p.constants, **numbers, num_warps=WARPS, num_stages=1,
        )  # fmt: skip
        bwd.values_kernel[grid](
            q, k, grad, gates.c, gates.m, gates.write, inverse, to_memory, to_v, *p.sizes, p.scale, **p.constants,
            **numbers, num_warps=WARPS,
        )  # fmt: skip
    return to_q, to_k, to_v, to_igate, to_fgate


@run_backward.register_fake
def _(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, h: Tensor, weight: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    to_q, to_k, to_v = (like_laid(x, x.dtype) for x in (q, k, v))
    return to_q, to_k, to_v, igate.new_empty(igate.shape), fgate.new_empty(fgate.shape)


def remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.chunk = inputs
    ctx.save_for_backward(*tensors, *output)


def backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    return *run_backward(grad, *ctx.saved_tensors, ctx.chunk), None


run_forward.register_autograd(backward, setup_context=remember)


def mlstm_triton(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor, chunk: int = 64) -> Tensor:
    """See :func:`mmseq.ops.mlstm`. Products are taken in the dtype of q, k and v, or in autocast's where it is on.

    Args:
        chunk: steps per chunk at most, a power of two from 16.

    Raises:
        InputError: no GPU and no interpreter, or a dtype other than float32, bfloat16 and float16.
    """
    dtype = torch.promote_types(torch.promote_types(q.dtype, k.dtype), v.dtype)
    device = q.device.type
    if dtype == torch.float32 and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    q, k, v = (x.to(dtype) for x in (q, k, v))
    need_machine('mlstm', q, DTYPES)
    h, _ = run_forward(q, k, v, igate, fgate, chunk)
    return h
