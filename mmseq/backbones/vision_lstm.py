"""Vision-LSTM (ViL): xLSTM as generic vision backbone (arXiv 2406.04303; github.com/NX-AI/vision-lstm).

Shapes: B images, H x W cells, C channels. One resolution throughout; a stage ends where features are tapped.

    images (B, 3, H, W)
      stem        conv 16x16 stride 16 (or 8), plus a learned position embedding       H/16 x W/16
      stage 1..4  pairs of sub-blocks, up to each of the taps
        sub-block x + MLSTMLayer(norm(x)), first from the upper left, then from the lower right    (B, H, W, C)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mmseq.backbones.base import Backbone, Stage, choose_arch
from mmseq.layers import DropPath, MLSTMLayer, PositionEmbedding, drop_path_ramp
from mmseq.layers.mlstm_layer import DIRECTIONS
from mmseq.registry import MODELS


@dataclass(frozen=True)
class Arch:
    """One row of the architecture table.

    Args:
        dim: C.
        taps: the sub-blocks, counted from 0, whose outputs are the levels. All but the last are the second of a pair;
            the last is the network's last.
        version: 2 convolves on the grid and has biases in projections and norms; 1 convolves along the sequence.
        patch: pixels per side of the stem's kernel.
        grid: cells of the position embedding; every other map gets it resized.
    """

    dim: int
    taps: tuple[int, ...] = (7, 11, 15, 23)
    version: int = 2
    patch: int = 16
    grid: tuple[int, int] = (14, 14)


ARCHS: Mapping[str, Arch] = {
    't': Arch(192),
    's': Arch(384),
    'b': Arch(768),
    'v1_t': Arch(192, version=1),
    # 29 and 26 sub-blocks, tapped after the pairs nearest to a third, a half and two thirds, as the others are.
    'v1_t_plus': Arch(192, taps=(9, 13, 19, 28), version=1),
    'v1_s': Arch(384, version=1),
    'v1_s_plus': Arch(384, taps=(7, 13, 17, 25), version=1),
    'v1_b': Arch(768, version=1),
    # Ours, for the demo and the tests: small enough to be trained from scratch on a CPU. Not in the paper.
    'nano': Arch(64, taps=(1, 3, 5, 7), patch=8),
}
"""The released models of both versions (README of the authors' repository), by name."""

DESIGNS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    'alternating': (('rows',), ('rows_reversed',)),
    'unidirectional': (('rows',),),
    'bidirectional': (('rows', 'rows_reversed'),),
    'bidirectional_shared': (('rows', 'rows_reversed'),),
    'quad': tuple((direction,) for direction in DIRECTIONS),
}
"""The paper's block designs (section 4.4): what each sub-block scans, repeated over the network."""


class Stem(nn.Module):
    """Patches to tokens, with the position embedding: (B, H, W, channels) to (B, H / stride, W / stride, C).

    Args:
        in_channels: channels of the images.
        dim: C.
        patch: pixels per side of the kernel.
        stride: pixels per cell. A kernel that is larger reaches beyond its cell by the same on all sides, so that
            cell (r, c) is centred at ((r + 0.5) stride, (c + 0.5) stride) at either stride; the authors pad nothing at
            stride 8 and so have one row and one column less, at the corners between these cells.
        grid: of the position embedding.
    """

    def __init__(self, in_channels: int, dim: int, patch: int, stride: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, patch, stride, padding=(patch - stride) // 2)
        self.pos_embed = PositionEmbedding(dim, grid)
        nn.init.xavier_uniform_(self.proj.weight.data.flatten(1))
        if self.proj.bias is not None:
            nn.init.zeros_(self.proj.bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.pos_embed(self.proj(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class SubBlock(nn.Module):
    """One residual mLSTM layer: (B, H, W, C) to the same."""

    def __init__(self, arch: Arch, directions: Sequence[str], shared: bool, drop_path: float) -> None:
        super().__init__()
        bias = arch.version == 2
        conv = 'grid' if arch.version == 2 else 'causal'
        self.norm = nn.LayerNorm(arch.dim, eps=1e-5, bias=bias)
        self.layer = MLSTMLayer(arch.dim, directions, shared, conv, proj_bias=bias, norm_bias=bias)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.layer(self.norm(x)))


@MODELS.register_module()
class VisionLSTM(Backbone):
    """Vision-LSTM with the features of several depths, all of one stride by themselves.

    A block is a pair of sub-blocks, as in the authors' second version: pairs count as one layer in layer-wise decay.

    Args:
        arch: a name of ``ARCHS``, or a dict with the fields of ``Arch`` (``dim`` at least).
        in_channels: channels of the images.
        out_indices: which of the arch's taps are returned; what lies after the last one is not built.
        out_strides: strides of the returned maps, such as (4, 8, 16, 32); None gives the stem's stride four times.
        out_norm: a LayerNorm per returned level; the last tap's takes the checkpoint's final norm (in version 1 both
            of its norms in turn, as the authors' feature extractor).
        drop_path_rate: of the last sub-block; earlier ones ramp linearly from 0, as in the authors' segmentation.
        frozen_stages: -1 none, 0 the stem with its position embedding, k the stem and all up to the k-th tap.
        with_cp: activation checkpointing per pair.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)``: the authors' hub files, their models' layout or ours.
        patch_stride: pixels per cell; None is the patch size, 8 is that of the authors' long-sequence weights.
        directions: the block design, a name of ``DESIGNS``.

    Raises:
        ValueError: an unknown arch or design, or taps, indices and strides that do not fit.
        TypeError: an unknown field in an arch dict.
    """

    family = 'vision_lstm'
    input_conv = 'stem.proj.weight'
    position = 'stem.pos_embed.weight'

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 't',
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        out_strides: Sequence[int] | None = None,
        out_norm: bool = True,
        drop_path_rate: float = 0.0,
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | None = None,
        patch_stride: int | None = None,
        directions: str = 'alternating',
    ) -> None:
        if directions not in DESIGNS:
            raise ValueError(f'unknown directions {directions!r}: choose one of {", ".join(DESIGNS)}')
        spec = choose_arch('VisionLSTM', arch, ARCHS, Arch)
        stride = patch_stride or spec.patch
        if stride > spec.patch or (spec.patch - stride) % 2:
            raise ValueError(f'patch_stride={stride}: expected {spec.patch}, or less by an even number')
        depths = pairs_per_stage(spec.taps)
        super().__init__(
            dims=[spec.dim] * len(depths),
            depths=depths,
            strides=[stride] * len(depths),
            out_indices=out_indices,
            out_strides=out_strides,
            out_norm=out_norm,
            in_channels=in_channels,
            frozen_stages=frozen_stages,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.stem = Stem(in_channels, spec.dim, spec.patch, stride, spec.grid)
        self.build_pairs(spec, directions, drop_path_rate)
        self.build_out_norms(lambda dim: nn.LayerNorm(dim, eps=1e-6))
        last = str(self.num_stages - 1)
        if spec.version == 1 and last in self.norms:
            self.norms[last] = nn.Sequential(nn.LayerNorm(spec.dim, bias=False), self.norms[last])
        self.freeze()

    def build_pairs(self, spec: Arch, directions: str, drop_path_rate: float) -> None:
        """Create ``self.stages``: pairs of sub-blocks, up to each tap that is asked for."""
        design, shared = DESIGNS[directions], directions == 'bidirectional_shared'
        rates = drop_path_ramp(drop_path_rate, (spec.taps[-1] + 1,))[0]
        self.stages = nn.ModuleList()
        for first, last in zip((-1, *spec.taps), spec.taps[: len(self.depths)]):
            subs = [SubBlock(spec, design[i % len(design)], shared, rates[i]) for i in range(first + 1, last + 1)]
            pairs = [nn.Sequential(*subs[i : i + 2]) for i in range(0, len(subs), 2)]
            self.stages.append(Stage(nn.Identity(), pairs))


def pairs_per_stage(taps: Sequence[int]) -> tuple[int, ...]:
    """Pairs of sub-blocks up to each tap from the one before; a last sub-block without a partner counts as a pair.

    Raises:
        ValueError: the taps do not ascend, or one before the last parts a pair.
    """
    ascending = all(a < b for a, b in zip((-1, *taps), taps))
    if not taps or not ascending or any(tap % 2 == 0 for tap in taps[:-1]):
        raise ValueError(f'taps={tuple(taps)}: expected ascending sub-blocks, odd numbers but for the last')
    ends = [tap // 2 + 1 for tap in taps]
    return tuple(end - start for start, end in zip((0, *ends), ends))
