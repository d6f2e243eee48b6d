"""ShiftViT: When Shift Operation Meets Vision Transformer (arXiv 2201.10801; github.com/microsoft/SPACH).

Shapes: B images, H x W cells, C channels.

    images (B, 3, H, W)
      stem       conv 4x4 stride 4, norm                                  H/4  x W/4
      stage 1..4 [norm, conv 2x2 stride 2: before stages 2 to 4]          H/8, H/16, H/32 from stage 2 on
        block    x = shift(x);  x + MLP(norm(x))                          (B, H, W, C)

The norm is over H, W and C of one image: what an image is padded with is part of its statistics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mmseq import ops
from mmseq.backbones.base import Backbone, choose_arch
from mmseq.layers import DropPath, GlobalNorm, Mlp, PatchConv, say_modules, untouched
from mmseq.registry import MODELS

PATCHES = (4, 2, 2, 2)
STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True)
class Arch:
    """One row of the architecture table; stage i has ``dim * 2**i`` channels."""

    depths: tuple[int, ...]
    dim: int = 96
    mlp_ratio: float = 2.0
    n_div: int = 12


ARCHS: Mapping[str, Arch] = {
    't': Arch((6, 8, 18, 6)),
    's': Arch((10, 18, 36, 10)),
    'b': Arch((10, 18, 36, 10), dim=128, n_div=16),
    # Fewer blocks with a wider MLP: the blocks of Swin at its depths.
    't_light': Arch((2, 2, 6, 2), mlp_ratio=4.0),
    's_light': Arch((2, 2, 18, 2), mlp_ratio=4.0),
    'b_light': Arch((2, 2, 18, 2), dim=128, mlp_ratio=4.0, n_div=16),
    # As wide an MLP, and as deep as the computation of the main models allows.
    't_r4': Arch((2, 2, 12, 3), mlp_ratio=4.0),
    's_r4': Arch((2, 6, 24, 4), mlp_ratio=4.0),
    'b_r4': Arch((4, 6, 22, 4), dim=128, mlp_ratio=4.0, n_div=16),
    # Ours, for the demo and the tests: small enough to be trained from scratch on a CPU. Not in the paper.
    'nano': Arch((1, 1, 2, 1), dim=24, n_div=6),
}
"""The models of the paper and of the authors' registry, by name."""


class PatchEmbed(nn.Module):
    """The stem: (B, H, W, C_in) to (B, H / 4, W / 4, C), normalised."""

    def __init__(self, in_channels: int, dim: int) -> None:
        super().__init__()
        self.proj = PatchConv(in_channels, dim, PATCHES[0])
        self.norm = GlobalNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x))


class PatchMerging(nn.Module):
    """What joins two stages: (B, H, W, C) to (B, H / 2, W / 2, 2 C), normalised before."""

    def __init__(self, dim_in: int, dim_out: int, patch: int) -> None:
        super().__init__()
        self.norm = GlobalNorm(dim_in)
        self.reduction = PatchConv(dim_in, dim_out, patch, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.reduction(self.norm(x))


class ShiftViTBlock(nn.Module):
    """Token mixing by a shift, which has no residual, then residual channel mixing: (B, H, W, C) to the same."""

    def __init__(self, dim: int, arch: Arch, drop_path: float) -> None:
        super().__init__()
        self.n_div = arch.n_div
        self.norm = GlobalNorm(dim)
        self.mlp = Mlp(dim, int(arch.mlp_ratio * dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = ops.shift2d(x, self.n_div)
        norm, fc1, fc2 = self.norm, self.mlp.fc1, self.mlp.fc2
        kinds = ((norm, GlobalNorm), (self.mlp, Mlp), (fc1, nn.Linear), (fc2, nn.Linear), (self.drop_path, DropPath))
        if not all(untouched(module, kind) for module, kind in kinds):
            say_modules('global_norm_mlp', x)
            return x + self.drop_path(self.mlp(norm(x)))
        mlp = (fc1.weight, fc1.bias, fc2.weight, fc2.bias)
        return ops.global_norm_mlp(x, norm.weight, norm.bias, norm.eps, *mlp, keep=self.drop_path.factors(x))


@MODELS.register_module()
class ShiftViT(Backbone):
    """ShiftViT with multi-scale feature maps.

    Args:
        arch: a name of ``ARCHS``, or a dict with the fields of ``Arch`` (``depths`` at least).
        in_channels: channels of the images.
        out_indices: stages returned; stages after the last one are not built.
        out_strides: strides of the returned maps; None gives the native (4, 8, 16, 32).
        out_norm: a norm per returned level; the last stage's takes the checkpoint's final norm.
        drop_path_rate: of the last block; earlier blocks ramp linearly from 0.
        frozen_stages: -1 none, 0 the stem, k the stem and the first k stages.
        with_cp: activation checkpointing per block.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)``: the authors' or our own layout.

    Raises:
        ValueError: an unknown arch, or indices and strides that do not fit it.
        TypeError: an unknown field in an arch dict.
    """

    family = 'shiftvit'
    input_conv = 'stem.proj.weight'

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
    ) -> None:
        spec = choose_arch('ShiftViT', arch, ARCHS, Arch)
        super().__init__(
            dims=[spec.dim * 2**i for i in range(len(STRIDES))],
            depths=spec.depths,
            strides=STRIDES,
            out_indices=out_indices,
            out_strides=out_strides,
            out_norm=out_norm,
            in_channels=in_channels,
            frozen_stages=frozen_stages,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.stem = PatchEmbed(in_channels, spec.dim)
        self.build_stages(
            drop_path_rate,
            join=lambda i: PatchMerging(self.dims[i - 1], self.dims[i], PATCHES[i]),
            block=lambda i, rate: ShiftViTBlock(self.dims[i], spec, rate),
        )
        self.build_out_norms(GlobalNorm)
        self.reset_parameters()
        self.freeze()

    def reset_parameters(self) -> None:
        """The authors' initialisation: truncated normal weights of deviation 0.02, bias 0."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
