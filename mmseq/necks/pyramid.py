"""A feature pyramid from maps of one stride, as plain transformers and ViL use it for dense prediction.

Shapes: B images, H x W cells of the maps that come in, C channels.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseq.registry import MODELS


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of a map (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


NORMS: Mapping[str, type[nn.Module]] = {'BN': nn.BatchNorm2d, 'SyncBN': nn.SyncBatchNorm, 'LN': ChannelNorm}


@MODELS.register_module()
class SimplePyramid(BaseModule):
    """Deconvolutions, nothing and max-pooling: maps of one stride to maps of several, each from its own level.

    From stride 16 the default scales give strides 4, 8, 16, 32; for maps of stride 8 take (2, 1, 1/2, 1/4). The
    arrangement is that of BEiT's and ViL's segmentation code (arXiv 2106.08254; github.com/NX-AI/vision-lstm).

    Args:
        in_channels: channels of the maps, one number for all or one per level.
        out_channels: a 1x1 convolution brings every level to it; None leaves the channels as they come in.
        scales: what each level's resolution is multiplied by; powers of two.
        norm_cfg: ``dict(type='BN')``, SyncBN or LN (over the channels) for the norm between two deconvolutions, with
            ``requires_grad=False`` to freeze it.
        init_cfg: mmengine's.

    Raises:
        ValueError: a scale that is no power of two, channels that do not fit the levels, or an unknown norm.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int | None = None,
        scales: Sequence[float] = (4, 2, 1, 0.5),
        norm_cfg: Mapping[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        norm_cfg = {'type': 'BN', **(norm_cfg or {})}
        channels = [in_channels] * len(scales) if isinstance(in_channels, int) else list(in_channels)
        if len(channels) != len(scales):
            raise ValueError(f'in_channels={channels}: expected one number, or one for each of scales={tuple(scales)}')
        if norm_cfg['type'] not in NORMS or set(norm_cfg) - {'type', 'requires_grad'}:
            raise ValueError(f'norm_cfg={norm_cfg}: expected a type of {", ".join(NORMS)} and requires_grad at most')
        self.levels = nn.ModuleList()
        for width, scale in zip(channels, scales):
            join = nn.Identity() if out_channels is None else nn.Conv2d(width, out_channels, 1)
            self.levels.append(nn.Sequential(*rescaling(width, scale, norm_cfg), join))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The authors' initialisation: xavier-uniform over the flattened kernels, biases 0."""
        for module in self.modules():
            if isinstance(module, (nn.ConvTranspose2d, nn.Conv2d)):
                nn.init.xavier_uniform_(module.weight.data.flatten(1))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One (B, C_i, H, W) per level, or one alone for all, to (B, C_i, ceil(scale_i H), ceil(scale_i W)) each."""
        if len(maps) not in (1, len(self.levels)):
            raise ValueError(f'SimplePyramid takes 1 or {len(self.levels)} maps, got {len(maps)}')
        maps = [maps[0]] * len(self.levels) if len(maps) == 1 else maps
        return tuple(level(x) for level, x in zip(self.levels, maps))


def rescaling(channels: int, scale: float, norm_cfg: Mapping[str, Any]) -> list[nn.Module]:
    """The modules that bring one level to its resolution.

    Raises:
        ValueError: the scale is no power of two.
    """
    steps = math.log2(scale) if scale > 0 else 0.5
    if not float(steps).is_integer():
        raise ValueError(f'scale {scale}: expected a power of two such as 4 or 0.5')
    if steps < 0:
        factor = 2 ** int(-steps)
        return [nn.MaxPool2d(factor, factor, ceil_mode=True)]
    modules: list[nn.Module] = []
    for step in range(int(steps)):
        if step:
            norm = NORMS[norm_cfg['type']](channels).requires_grad_(norm_cfg.get('requires_grad', True))
            modules += [norm, nn.GELU()]
        modules.append(nn.ConvTranspose2d(channels, channels, 2, stride=2))
    return modules
