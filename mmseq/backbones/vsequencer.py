"""VSequencer, the one-dimensional Sequencer (arXiv 2205.01972; github.com/okojoalg/sequencer).

Shapes: B images, H x W cells, C channels, D = C / 2 hidden channels of one direction of the LSTM.

    images (B, 3, H, W)
      stem       conv 14x14 stride 14 [+ position embedding in pe]              H/14 x W/14, in all stages
      stage 1..4 [conv 1x1 before stages 2 to 4]
        block    x + BiLSTM(norm(x)) over all cells row by row;  x + MLP(norm(x))   (B, H, W, C)

The hierarchical h begins at stride 7 with half the channels and has a conv 2x2 stride 2 before stage 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import mul
from typing import Any

from torch import Tensor, nn

from mmseq.backbones.base import Backbone, choose_arch
from mmseq.layers import (
    DropPath,
    Mlp,
    PatchConv,
    PositionEmbedding,
    Recurrent1D,
    add_branch,
    init_sequencer,
    spare,
)
from mmseq.registry import MODELS

EPS = 1e-6


@dataclass(frozen=True)
class Arch:
    """One row of the architecture table; ``grid`` is that of the position embedding, None for none."""

    depths: tuple[int, ...]
    dims: tuple[int, ...] = (384, 384, 384, 384)
    patches: tuple[int, ...] = (14, 1, 1, 1)
    mlp_ratio: float = 3.0
    grid: tuple[int, int] | None = None


S = Arch((4, 3, 8, 3))
ARCHS: Mapping[str, Arch] = {
    's': S,
    'h': replace(S, dims=(192, 384, 384, 384), patches=(7, 2, 1, 1)),
    # 16 x 16 cells of 14 px are the 224 px of ImageNet.
    'pe': replace(S, grid=(16, 16)),
    # Ours, for the demo and the tests: small enough to be trained from scratch on a CPU. Not in the paper.
    'nano': Arch((1, 1, 2, 1), dims=(32, 64, 96, 128), patches=(8, 2, 1, 1), grid=(20, 20)),
}
"""The paper's VSequencer, VSequencer(H) and VSequencer(PE), by name."""


class PatchEmbed(nn.Module):
    """The stem: (B, H, W, C_in) to (B, H / patch, W / patch, C), with a position embedding if ``grid`` is given."""

    def __init__(self, in_channels: int, dim: int, patch: int, grid: tuple[int, int] | None) -> None:
        super().__init__()
        self.proj = PatchConv(in_channels, dim, patch)
        self.pos_embed = PositionEmbedding(dim, grid) if grid else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.pos_embed(self.proj(x))


class VSequencerBlock(nn.Module):
    """Token mixing by one recurrent scan, then channel mixing, each residual: (B, H, W, C) to the same."""

    def __init__(self, dim: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        # Both directions together give dim channels: no linear map follows.
        self.rnn_tokens = Recurrent1D(dim, dim // 2)
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp_channels = Mlp(dim, int(mlp_ratio * dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        mlp, drop_path = self.mlp_channels, self.drop_path
        x = x + drop_path(self.rnn_tokens(self.norm1(x)))
        return add_branch(x, drop_path(mlp(self.norm2(x))), spare(mlp, Mlp, 'fc2', drop_path))


@MODELS.register_module()
class VSequencer(Backbone):
    """VSequencer; all maps but the hierarchical model's first have one stride.

    Args:
        arch: a name of ``ARCHS``, or a dict with the fields of ``Arch`` (``depths`` at least).
        in_channels: channels of the images.
        out_indices: stages returned; stages after the last one are not built.
        out_strides: strides of the returned maps, such as (4, 8, 16, 32); None gives the native (14, 14, 14, 14), or
            (7, 14, 14, 14) for h.
        out_norm: a LayerNorm per returned level; the last stage's takes the checkpoint's final norm.
        drop_path_rate: of the last block; earlier blocks ramp linearly from 0, as the authors do.
        frozen_stages: -1 none, 0 the stem, k the stem and the first k stages.
        with_cp: activation checkpointing per block.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)``: the authors' or our own layout.

    Raises:
        ValueError: an unknown arch, or indices and strides that do not fit it.
        TypeError: an unknown field in an arch dict.
    """

    family = 'vsequencer'
    input_conv = 'stem.proj.weight'
    position = 'stem.pos_embed.weight'

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
    ) -> None:
        spec = choose_arch('VSequencer', arch, ARCHS, Arch)
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
        self.stem = PatchEmbed(in_channels, spec.dims[0], spec.patches[0], spec.grid)
        self.build_stages(
            drop_path_rate,
            join=lambda i: PatchConv(spec.dims[i - 1], spec.dims[i], spec.patches[i]),
            block=lambda i, rate: VSequencerBlock(spec.dims[i], spec.mlp_ratio, rate),
        )
        self.build_out_norms(lambda dim: nn.LayerNorm(dim, eps=EPS))
        init_sequencer(self)
        self.freeze()
