"""The scans of an image in one launch of a Triton kernel; docs/kernels.md has the design and its figures.

Legend: B H W; C input channels; S scans, 1 to 4, those along H first; D hidden; ``projected (B, H, W, S 4D)``: scan by
scan what the gates i, f, g, o receive from the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from mmseq.errors import InputError
from mmseq.ops.bilstm2d.triton_resident import backward_resident, forward_resident
from mmseq.ops.bilstm2d.triton_streamed import backward_streamed, forward_streamed
from mmseq.ops.triton_common import allows_tf32, need_machine

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
# Shared memory that a program may use, bytes, where no GPU says otherwise: an H100's or H200's.
SHARED_BYTES = 227 * 1024


@dataclass(frozen=True)
class Plan:
    """How a scan is cut up: hidden channels per block (all of them, padded, if resident), sequences per program."""

    resident: bool
    block: int
    rows: int
    warps: int


def plan(example: Tensor, hidden: int) -> Plan:
    """From the hidden channels, dtype and device, for which a kernel is compiled anyway; never from B, H or W.

    Raises:
        InputError: a GPU older than Triton's compiler serves.
    """
    itemsize, shared = example.element_size(), SHARED_BYTES
    if example.is_cuda:
        # torch's list of its properties lacks the shared memory that a kernel may ask for.
        gpu: Any = torch.cuda.get_device_properties(example.device)
        if gpu.major < 8:
            raise InputError(
                f'backend triton needs a GPU of compute capability 8.0, not {gpu.major}.{gpu.minor}: use native'
            )
        shared = gpu.shared_memory_per_block_optin
    # 16 rows are the fewest that tl.dot takes, and make the most programs for the GPU to run at once.
    rows, padded = 16, max(16, triton.next_power_of_2(hidden))
    # Four square matrices, and what the backward has under way of its seven inputs: counted by Triton 3.8's compiler.
    if itemsize * padded * (4 * padded + 12 * rows) <= shared:
        return Plan(resident=True, block=padded, rows=rows, warps=8 if padded >= 128 else 4)
    # Here weights come from L2 at every step, so that more rows share each read.
    return Plan(resident=False, block=64 if itemsize == 2 and hidden % 64 == 0 else 32, rows=64, warps=8)


@torch.library.custom_op('mmseq::bilstm2d_scan', mutates_args=())
def scan(projected: Tensor, weight_hh: Tensor, vertical: int, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    """All recurrences of a layer.

    Args:
        projected: (B, H, W, S 4D), contiguous.
        weight_hh: (S, 4D, D) of the same dtype.
        vertical: how many of the S scans run along H; the second one along an axis is the reverse one.
        keep: return what the backward needs.

    Returns:
        hidden states (B, H, W, S D), gates after their nonlinearity (B, H, W, S 4D), cell states (B, H, W, S D); the
        last two are empty without ``keep``.
    """
    batch, height, width, _ = projected.shape
    scans, _, hidden = weight_hh.shape
    projected, weight_hh = projected.contiguous(), weight_hh.contiguous()
    out = projected.new_empty(batch, height, width, scans * hidden)
    gates = torch.empty_like(projected) if keep else projected.new_empty(0)
    cells = torch.empty_like(out) if keep else projected.new_empty(0)
    cut = plan(projected, hidden)
    programs = count_programs(projected, scans, vertical, cut.rows)
    shape = (batch, height, width)
    options: dict[str, Any] = dict(
        VERTICAL=vertical, SCANS=scans, HIDDEN=hidden, ROWS=cut.rows, KEEP=keep, num_warps=cut.warps
    )
    options['PRECISION'] = precision(projected)
    with torch.cuda.device_of(projected):
        if cut.resident:
            forward_resident[(programs,)](projected, weight_hh, out, gates, cells, *shape, PADDED=cut.block, **options)
        else:
            state = projected.new_empty(programs * cut.rows, hidden, dtype=torch.float32)
            forward_streamed[(programs,)](
                projected, weight_hh, out, gates, cells, state, *shape, BLOCK=cut.block, num_stages=2, **options
            )
    return out, gates, cells


@scan.register_fake
def _(projected: Tensor, weight_hh: Tensor, vertical: int, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    scans, _, hidden = weight_hh.shape
    out = projected.new_empty(*projected.shape[:3], scans * hidden)
    if not keep:
        return out, projected.new_empty(0), projected.new_empty(0)
    return out, projected.new_empty(projected.shape), torch.empty_like(out)


@torch.library.custom_op('mmseq::bilstm2d_scan_backward', mutates_args=())
def scan_backward(grad_out: Tensor, weight_hh: Tensor, gates: Tensor, cells: Tensor, vertical: int) -> Tensor:
    """The gradient of ``projected`` from that of the hidden states and what :func:`scan` kept."""
    batch, height, width, _ = gates.shape
    scans, _, hidden = weight_hh.shape
    grad_out, weight_hh = grad_out.contiguous(), weight_hh.contiguous()
    grad_projected = torch.empty_like(gates)
    cut = plan(gates, hidden)
    programs = count_programs(gates, scans, vertical, cut.rows)
    shape = (batch, height, width)
    options: dict[str, Any] = dict(VERTICAL=vertical, SCANS=scans, HIDDEN=hidden, ROWS=cut.rows, num_warps=cut.warps)
    options['PRECISION'] = precision(gates)
    with torch.cuda.device_of(gates):
        if cut.resident:
            backward_resident[(programs,)](
                grad_out, weight_hh, gates, cells, grad_projected, *shape, PADDED=cut.block, **options
            )
        else:
            state = gates.new_empty(programs * cut.rows, hidden, dtype=torch.float32)
            backward_streamed[(programs,)](
                grad_out,
                weight_hh,
                gates,
                cells,
                grad_projected,
                state,
                *shape,
                BLOCK=cut.block,
                num_stages=2,
                **options,
            )
    return grad_projected


@scan_backward.register_fake
def _(grad_out: Tensor, weight_hh: Tensor, gates: Tensor, cells: Tensor, vertical: int) -> Tensor:
    return torch.empty_like(gates)


def count_programs(like: Tensor, scans: int, vertical: int, rows: int) -> int:
    """One per scan and tile of ``rows`` sequences of a (B, H, W, ...) tensor."""
    batch, height, width, _ = like.shape
    return vertical * triton.cdiv(batch * width, rows) + (scans - vertical) * triton.cdiv(batch * height, rows)


def precision(example: Tensor) -> str:
    """What tl.dot makes of float32: what the user allows cuDNN's recurrences, whose work these kernels do."""
    return 'tf32' if example.is_cuda and allows_tf32('rnn') else 'ieee'


def shifted(out: Tensor, scans: int, vertical: int) -> Tensor:
    """The hidden state before each step, (B, H, W, S, D), zero before the first."""
    out = out.unflatten(-1, (scans, -1))
    before = torch.zeros_like(out)
    for number in range(scans):
        axis, reverse = (1, number) if number < vertical else (2, number - vertical)
        length = out.shape[axis] - 1
        source, target = out.select(3, number), before.select(3, number)
        target.narrow(axis, 1 - reverse, length).copy_(source.narrow(axis, reverse, length))
    return before


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    _, weight_hh, ctx.vertical, _ = inputs
    ctx.save_for_backward(weight_hh, *output)


def _backward(ctx: Any, grad_out: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    weight_hh, out, gates, cells = ctx.saved_tensors
    scans = weight_hh.shape[0]
    grad_projected = scan_backward(grad_out, weight_hh, gates, cells, ctx.vertical)
    grad_weight = None
    if ctx.needs_input_grad[1]:
        before = shifted(out, scans, ctx.vertical).flatten(0, 2)
        grads = grad_projected.view(before.shape[0], scans, -1)
        grad_weight = torch.bmm(grads.permute(1, 2, 0), before.permute(1, 0, 2))
    return grad_projected, grad_weight, None, None


scan.register_autograd(_backward, setup_context=_setup)


def scan_image(operator: str, x: Tensor, weights: Sequence[Tensor], vertical: int) -> Tensor:
    """(B, H, W, C) to (B, H, W, S D): project and scan with S times four weights, the first ``vertical`` along H."""
    hidden = {weight.shape[1] for weight in weights[1::4]}
    if len(hidden) > 1:
        raise InputError(f'{operator}: backend triton wants one hidden size for all scans, not {sorted(hidden)}')
    # One product for all scans. Under autocast it casts x and the weights, and the recurrence follows its dtype.
    bias = torch.cat([a + b for a, b in zip(weights[2::4], weights[3::4])])
    projected = F.linear(x, torch.cat(list(weights[0::4])), bias)
    need_machine(operator, projected, DTYPES)
    weight_hh = torch.stack(list(weights[1::4])).to(projected.dtype)
    keep = torch.is_grad_enabled() and (projected.requires_grad or weight_hh.requires_grad)
    return scan(projected, weight_hh, vertical, keep)[0]


def bilstm2d_triton(x: Tensor, vertical: Sequence[Tensor], horizontal: Sequence[Tensor]) -> Tensor:
    """See :func:`mmseq.ops.bilstm2d`.

    Raises:
        InputError: a device, dtype or pair of hidden sizes that the kernels do not take.
    """
    return scan_image('bilstm2d', x, [*vertical, *horizontal], len(vertical) // 4)


def bilstm1d_triton(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """See :func:`mmseq.ops.bilstm1d`: sequences are images of one row each."""
    return scan_image('bilstm1d', x.unsqueeze(1), weights, 0).squeeze(1)
