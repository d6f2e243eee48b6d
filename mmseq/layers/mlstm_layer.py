"""The token mixer of Vision-LSTM (arXiv 2406.04303, section 3 and appendix A).

Shapes: B images, H x W cells, C channels, D = 2 C inner channels, S = H W steps of a sequence, N = 4 heads.

    x, z = up(input)                                  C -> 2 x D
    c    = SiLU(conv(x))                              depthwise, 3x3 on the grid, or 4 causal taps along the sequence
    q, k = blocks of 4 channels of c;  v of x         D -> D each
    h    = norm per head(mlstm(q, k, v, gates of q, k and v)) + skip c
    out  = down(h SiLU(z))                            D -> C

The sequence runs over a map's rows from the upper left. Other directions turn the map before and back after.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmseq import ops
from mmseq.layers.basic import untouched, weight_dtype
from mmseq.ops.autocast import without_autocast
from mmseq.ops.differentiable import transformed

DIRECTIONS = ('rows', 'rows_reversed', 'columns', 'columns_reversed')
HEADS = 4
QKV_BLOCK = 4


def turn(x: Tensor, direction: str) -> Tensor:
    """Lay a map (B, H, W, C) so that its rows from the upper left are the direction's sequence."""
    x = x.transpose(1, 2) if direction.startswith('columns') else x
    return x.flip(1, 2) if direction.endswith('reversed') else x


def turn_back(x: Tensor, direction: str) -> Tensor:
    """Undo :func:`turn`: a transposition and a half turn commute, and each undoes itself."""
    return turn(x, direction)


class HeadwiseLinear(nn.Module):
    """A linear map of each block of neighbouring channels onto itself: (..., dim) to (..., dim).

    Args:
        dim: channels.
        block: channels of a block; divides ``dim``.
        bias: whether to add one.
    """

    def __init__(self, dim: int, block: int = QKV_BLOCK, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim // block, block, block))
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        blocks, _, block = self.weight.shape
        y = torch.einsum('...nd,ned->...ne', x.unflatten(-1, (blocks, block)), self.weight).flatten(-2)
        # Under autocast y is in its dtype, and the bias must not widen it.
        return y if self.bias is None else y + self.bias.to(y.dtype)


class WideLinear(torch.autograd.Function):
    """A linear map in the dtype of its weight, which keeps its input in the input's own."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x.to(weight.dtype), weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        wide = x.to(weight.dtype)
        return (grad @ weight).to(x.dtype), grad.flatten(0, -2).mT @ wide.flatten(0, -2)


def wide_linear(x: Tensor, weight: Tensor) -> Tensor:
    """A linear map of the last axis in the dtype of the weight, without a bias."""
    # Forward-mode differentiation knows the formula alone.
    if x.dtype == weight.dtype or transformed():
        return F.linear(x.to(weight.dtype), weight)
    return WideLinear.apply(x, weight)


class CausalConv(nn.Conv1d):
    """A depthwise convolution over the last ``taps`` steps of the row-by-row sequence: (B, H, W, D) to the same."""

    def __init__(self, dim: int, taps: int = 4) -> None:
        super().__init__(dim, dim, taps, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        # One image row of all steps: channels stay last, as torch's channels_last format, and nothing is copied.
        row = F.pad(x.flatten(1, 2), (0, 0, self.kernel_size[0] - 1, 0))[:, None].permute(0, 3, 1, 2)
        y = F.conv2d(row, self.weight[:, :, None], self.bias, groups=self.groups)
        return y.permute(0, 2, 3, 1).reshape(x.shape)


class GridConv(nn.Conv2d):
    """A depthwise convolution on the map: (B, H, W, D) to the same."""

    def __init__(self, dim: int, kernel: int = 3) -> None:
        super().__init__(dim, dim, kernel, padding=kernel // 2, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class HeadNorm(nn.GroupNorm):
    """Layer norm of each head's channels, with a scale per channel."""

    def __init__(self, heads: int, dim: int, bias: bool, eps: float = 1e-5) -> None:
        super().__init__(heads, dim, eps)
        if not bias:
            self.register_parameter('bias', None)

    # Built as torch's own, by whose class optimizers know a norm, and called with more.
    def forward(self, h: Tensor, skip: Tensor, c: Tensor) -> Tensor:  # type: ignore[override]
        """norm(h) + skip c: h (B, N, S, d), skip (D,), c (B, S, D) to (B, S, D)."""
        return ops.head_norm(h, self.weight, self.bias, self.eps, skip, c)


class MLSTMCell(nn.Module):
    """Gates and mLSTM, queries, keys and values (B, S, D) to (B, N, S, d), and the norm for what comes of it."""

    def __init__(self, dim: int, heads: int, norm_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.igate = nn.Linear(3 * dim, heads)
        self.fgate = nn.Linear(3 * dim, heads)
        self.norm = HeadNorm(heads, dim, norm_bias)

    def gates(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Preactivations of the input and forget gates, (B, heads, S) each, in float32 whatever autocast says."""
        with without_autocast(q):
            if not (untouched(self.igate, nn.Linear) and untouched(self.fgate, nn.Linear)):
                return self.gates_by_modules(q, k, v)
            weights = torch.cat([self.igate.weight, self.fgate.weight]).chunk(3, dim=1)
            bias = torch.cat([self.igate.bias, self.fgate.bias])
            # A sum of three products in place of one with the concatenation, which would be kept for the backward.
            y = sum(wide_linear(x, weight) for x, weight in zip((q, k, v), weights)) + bias
            igate, fgate = y.transpose(1, 2).chunk(2, dim=1)
            return igate, fgate

    def gates_by_modules(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`gates`."""
        x = torch.cat([q, k, v], dim=-1)
        igate, fgate = (gate(x.to(weight_dtype(gate))).transpose(1, 2) for gate in (self.igate, self.fgate))
        return igate, fgate

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        igate, fgate = self.gates(q, k, v)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        return ops.mlstm(q, k, v, igate, fgate)


class MLSTMScan(nn.Module):
    """The part of the layer that sees a sequence: (B, H, W, D) to the same, row by row from the upper left."""

    def __init__(self, dim: int, conv: str, proj_bias: bool, norm_bias: bool) -> None:
        super().__init__()
        self.conv = GridConv(dim) if conv == 'grid' else CausalConv(dim)
        self.q_proj = HeadwiseLinear(dim, bias=proj_bias)
        self.k_proj = HeadwiseLinear(dim, bias=proj_bias)
        self.v_proj = HeadwiseLinear(dim, bias=proj_bias)
        self.cell = MLSTMCell(dim, HEADS, norm_bias)
        self.skip = nn.Parameter(torch.ones(dim))

    def initialise(self, dim: int) -> None:
        """The authors' initialisation in a layer of ``dim`` channels."""
        for projection in (self.q_proj, self.k_proj, self.v_proj):
            nn.init.normal_(projection.weight, std=math.sqrt(2 / (5 * dim)))
        nn.init.zeros_(self.cell.igate.weight)
        nn.init.normal_(self.cell.igate.bias, std=0.1)
        nn.init.zeros_(self.cell.fgate.weight)
        with torch.no_grad():
            self.cell.fgate.bias.copy_(torch.linspace(3, 6, HEADS))

    def forward(self, x: Tensor) -> Tensor:
        c = F.silu(self.conv(x)).flatten(1, 2)
        h = self.cell(self.q_proj(c), self.k_proj(c), self.v_proj(x.flatten(1, 2)))
        return self.cell.norm(h, self.skip, c).view(x.shape)


class MLSTMLayer(nn.Module):
    """One or several mLSTM scans between an expansion and a projection: (B, H, W, C) to the same.

    Args:
        dim: C, a multiple of 8.
        directions: what of ``DIRECTIONS`` is scanned; the scans are summed.
        shared: scan all directions with the same weights.
        conv: ``grid`` (depthwise 3x3) or ``causal`` (4 taps along the sequence).
        proj_bias: biases in all projections.
        norm_bias: a bias in the norm of the heads.

    Raises:
        ValueError: an unknown direction or conv, or a dim that heads and blocks do not divide.
    """

    def __init__(
        self,
        dim: int,
        directions: Sequence[str] = ('rows',),
        shared: bool = False,
        conv: str = 'grid',
        proj_bias: bool = True,
        norm_bias: bool = True,
    ) -> None:
        super().__init__()
        if not directions or set(directions) - {*DIRECTIONS} or conv not in ('grid', 'causal'):
            raise ValueError(f'directions={directions}, conv={conv!r}: expected of {DIRECTIONS}, and grid or causal')
        inner = 2 * dim
        if inner % (HEADS * QKV_BLOCK):
            raise ValueError(f'dim={dim}: expected a multiple of {HEADS * QKV_BLOCK // 2}')
        self.directions = tuple(directions)
        self.up = nn.Linear(dim, 2 * inner, bias=proj_bias)
        scans = 1 if shared else len(self.directions)
        self.scans = nn.ModuleList(MLSTMScan(inner, conv, proj_bias, norm_bias) for _ in range(scans))
        self.down = nn.Linear(inner, dim, bias=proj_bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The authors' initialisation; convolutions are left as torch makes them."""
        dim = self.down.out_features
        nn.init.normal_(self.up.weight, std=math.sqrt(2 / (5 * dim)))
        nn.init.normal_(self.down.weight, std=2 / math.sqrt(dim))
        scans: Iterable[Any] = self.scans
        for scan in scans:
            scan.initialise(dim)
        for linear in (self.up, self.down):
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        x, z = self.expand(x)
        h = self.scan(x)
        # What is made again calls hooks again, and adapters with dropout draw again; torch.func knows no checkpoints.
        if not torch.is_grad_enabled() or not untouched(self.down, nn.Linear) or transformed():
            return self.project(h, z)
        # A sixth of what the layer would keep for its backward pass is two elementwise products: made again there.
        return checkpoint(self.project, h, z, use_reentrant=False, preserve_rng_state=False)

    def expand(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is scanned, and the gate's branch, (B, H, W, D) each."""
        if not untouched(self.up, nn.Linear):
            scanned, z = self.up(x).chunk(2, dim=-1)
            return scanned, z
        # Two products in place of a split one: x would be copied out of it, and z would keep the whole alive.
        halves = zip(self.up.weight.chunk(2), (None, None) if self.up.bias is None else self.up.bias.chunk(2))
        scanned, z = (F.linear(x, weight, bias) for weight, bias in halves)
        return scanned, z

    def scan(self, x: Tensor) -> Tensor:
        """The sum of the scans in all directions, (B, H, W, D)."""
        found = [
            turn_back(self.scans[i % len(self.scans)](turn(x, direction).contiguous()), direction)
            for i, direction in enumerate(self.directions)
        ]
        return sum(found[1:], found[0])

    def project(self, h: Tensor, z: Tensor) -> Tensor:
        """The output from what the scans say and the gate's branch, (B, H, W, D) each."""
        return self.down(h * F.silu(z))
