"""Sequencer2D: Deep LSTM for Image Classification (arXiv 2205.01972; github.com/okojoalg/sequencer).

Shapes: B images, H x W cells, C channels, D hidden channels of one direction of one LSTM.

    images (B, 3, H, W)
      stem       conv 7x7 stride 7                                              H/7   x W/7
      stage 1..4 [conv 2x2 stride 2 | 1x1 | 1x1 before stages 2 | 3 | 4]        H/14  x W/14 from stage 2 on
        block    x + BiLSTM2D(norm(x));  x + MLP(norm(x))                       (B, H, W, C)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import mul
from typing import Any

from torch import Tensor, nn

from mmseq.backbones.base import Backbone, choose_arch
from mmseq.layers import DropPath, Mlp, PatchConv, Recurrent2D, add_branch, init_sequencer, spare
from mmseq.registry import MODELS

EPS = 1e-6


@dataclass(frozen=True)
class Arch:
    """One row of the architecture table."""

    depths: tuple[int, ...]
    dims: tuple[int, ...] = (192, 384, 384, 384)
    hidden: tuple[int, ...] = (48, 96, 96, 96)
    patches: tuple[int, ...] = (7, 2, 1, 1)
    mlp_ratio: float = 3.0
    cell: str = 'lstm'
    bidirectional: bool = True
    union: str = 'cat'
    with_fc: bool = True


S = Arch((4, 3, 8, 3))
WIDE = (96, 192, 192, 192)
ARCHS: Mapping[str, Arch] = {
    's': S,
    'm': Arch((4, 3, 14, 3)),
    'l': Arch((8, 8, 16, 4)),
    'l_d4_3x': Arch((8, 8, 16, 4), dims=(256, 512, 512, 512), hidden=(64, 128, 128, 128)),
    # Ours, for the demo and the tests: small enough to be trained from scratch on a CPU. Not in the paper.
    'nano': Arch((1, 1, 2, 1), dims=(32, 64, 96, 128), hidden=(8, 16, 24, 32), patches=(4, 2, 2, 2)),
    # The paper's ablations.
    's_unidirectional': replace(S, bidirectional=False),
    's_add': replace(S, union='add'),
    's_h2x': replace(S, hidden=WIDE),
    's_without_fc': replace(S, with_fc=False),
    's_vertical': replace(S, hidden=WIDE, union='vertical', with_fc=False),
    's_horizontal': replace(S, hidden=WIDE, union='horizontal', with_fc=False),
    's_gru': replace(S, cell='gru'),
    's_rnn': replace(S, cell='rnn'),
}
"""The paper's models (tables 1 and 4), by name."""


class Sequencer2DBlock(nn.Module):
    """Token mixing by recurrent scans, then channel mixing, each residual: (B, H, W, C) to the same."""

    def __init__(self, dim: int, hidden: int, arch: Arch, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.rnn_tokens = Recurrent2D(dim, hidden, arch.cell, arch.bidirectional, arch.union, arch.with_fc)
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp_channels = Mlp(dim, int(arch.mlp_ratio * dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        tokens, mlp, drop_path = self.rnn_tokens, self.mlp_channels, self.drop_path
        x = add_branch(x, drop_path(tokens(self.norm1(x))), spare(tokens, Recurrent2D, 'fc', drop_path))
        return add_branch(x, drop_path(mlp(self.norm2(x))), spare(mlp, Mlp, 'fc2', drop_path))


@MODELS.register_module()
class Sequencer2D(Backbone):
    """Sequencer2D with multi-scale feature maps.

    Args:
        arch: a name of ``ARCHS``, or a dict with the fields of ``Arch`` (``depths`` at least).
        in_channels: channels of the images.
        out_indices: stages returned; stages after the last one are not built.
        out_strides: strides of the returned maps, such as (4, 8, 16, 32); None gives the native (7, 14, 14, 14).
        out_norm: a LayerNorm per returned level; the last stage's takes the checkpoint's final norm.
        drop_path_rate: of the last block; earlier blocks ramp linearly from 0, as the authors do.
        frozen_stages: -1 none, 0 the stem, k the stem and the first k stages.
        with_cp: activation checkpointing per block.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)``: the authors', timm's or our own layout.
        patch_size: pixels per side of the stem's kernel, which are its stride; None is the arch's. 8 gives the strides
            8, 16, 16, 16; loading then resizes the kernel of the arch's own size by a pseudo-inverse, and reports it.

    Raises:
        ValueError: an unknown arch, a patch size below 1, or indices and strides that do not fit it.
        TypeError: an unknown field in an arch dict.
    """

    family = 'sequencer2d'

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 's',
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        out_strides: Sequence[int] | None = None,
        out_norm: bool = True,
        drop_path_rate: float = 0.0,
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | None = None,
        patch_size: int | None = None,
    ) -> None:
        spec = choose_arch('Sequencer2D', arch, ARCHS, Arch)
        native_patch = spec.patches[0]
        if patch_size is not None:
            if patch_size < 1:
                raise ValueError(f'patch_size={patch_size}: expected at least 1 px')
            spec = replace(spec, patches=(patch_size, *spec.patches[1:]))
        super().__init__(
            dims=spec.dims,
            depths=spec.depths,
            strides=list(accumulate(spec.patches, mul)),
            out_indices=out_indices,
            out_strides=out_strides,
            out_norm=out_norm,
            in_channels=in_channels,
            frozen_stages=frozen_stages,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.native_patch = None if patch_size is None else native_patch
        self.stem = PatchConv(in_channels, spec.dims[0], spec.patches[0])
        self.build_stages(
            drop_path_rate,
            join=lambda i: PatchConv(spec.dims[i - 1], spec.dims[i], spec.patches[i]),
            block=lambda i, rate: Sequencer2DBlock(spec.dims[i], spec.hidden[i], spec, rate),
        )
        self.build_out_norms(lambda dim: nn.LayerNorm(dim, eps=EPS))
        init_sequencer(self)
        self.freeze()
