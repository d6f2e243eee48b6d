"""Which arch of its family a checkpoint has, by the names and shapes of its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mmseq.checkpoints.compare import Differences, compare
from mmseq.checkpoints.rules import Renamed, absent_norms, count_blocks, placed
from mmseq.errors import InputError
from mmseq.weights.opened import Source

CUSTOM = 'custom'
"""The ``arch`` of a backbone of our own names whose shapes are not to be compared with any table."""


@dataclass(frozen=True)
class ArchTable:
    """The archs of a family, and which of their tensors may differ from them.

    Args:
        tensors: by arch, the model's own state dict; on the meta device will do.
        input_conv: key of the convolution that sees the images.
        position: key of the position embedding, if the family has one.
    """

    tensors: Mapping[str, Mapping[str, Tensor]]
    input_conv: str
    position: str | None = None


@dataclass(frozen=True)
class Geometry:
    """What the converted weights are to fit, where not the arch's own.

    Args:
        in_channels: channels of the images.
        patch_size: pixels per side of the stem's kernel.
        grid: cells of the position embedding.
    """

    in_channels: int | None = None
    patch_size: int | None = None
    grid: tuple[int, int] | None = None


AS_ARCH = Geometry()


@dataclass
class Fit:
    """How a source fits an arch.

    Attributes:
        arch: its name.
        own: the arch's tensors.
        wanted: the shapes that the result is to have.
        expected: number of the arch's tensors; norms that no publisher has count only where the source has them.
        absent: what the source does not hold and a smaller model of ours does not have.
        lacking: the arch's tensors that the source does not hold and that publishers have.
        differences: what else keeps the source from being this arch.
    """

    arch: str
    own: Mapping[str, Tensor]
    wanted: dict[str, tuple[int, ...]]
    expected: int
    absent: list[str]
    lacking: list[str]
    differences: Differences


def find_arch(source: Source, renamed: Renamed, table: ArchTable, arch: str | None, geometry: Geometry) -> Fit:
    """The one arch whose names and shapes the source has.

    Raises:
        InputError: the arch that is asked for does not fit, none does, or several do.
    """
    if arch == CUSTOM:
        if source.layout is not source.family.ours:
            raise InputError(f'--arch {CUSTOM}: only for files of our own layout; this one has {source.layout.name}')
        kernel = renamed.tensors.get(table.input_conv)
        if kernel is None or kernel.dim() != 4:
            raise InputError(f'checkpoint {source.name}: holds no convolution {table.input_conv}')
        return measure(CUSTOM, renamed.tensors, source, renamed, table, geometry)
    if arch and arch not in table.tensors:
        raise InputError(
            f'--arch {arch}: {source.family.name} has no such arch; choose one of {", ".join(table.tensors)}'
        )
    names = [arch] if arch else list(table.tensors)
    # Counting is cheap: an arch with the three norms more that no publisher has, or fewer of them, is likely; what
    # differs by more is measured where no likely one fits.
    count = len(renamed.tensors)
    likely = [name for name in names if count <= len(table.tensors[name]) <= count + 6]
    tried = [measure(name, table.tensors[name], source, renamed, table, geometry) for name in likely]
    if all(fit.differences for fit in tried):
        rest = [name for name in names if name not in likely]
        tried += [measure(name, table.tensors[name], source, renamed, table, geometry) for name in rest]
    fitting = [fit for fit in tried if not fit.differences]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InputError(
            f'checkpoint {source.name}: fits several archs of {source.family.name}: '
            f'{", ".join(fit.arch for fit in fitting)}; choose one with --arch'
        )
    nearest = min(tried, key=lambda fit: sum(len(keys) for keys in vars(fit.differences).values()))
    raise InputError(
        f'checkpoint {source.name} ({source.layout.name} layout) fits no arch of {source.family.name}; nearest is '
        f'{nearest.arch}: {nearest.differences}. It is damaged, or --in-channels and --patch-size must say what it has'
    )


def measure(
    arch: str, own: Mapping[str, Tensor], source: Source, renamed: Renamed, table: ArchTable, geometry: Geometry
) -> Fit:
    """Compare a source with an arch. The stem may have the arch's geometry or the wanted one, a grid any square."""
    depths = count_blocks(own)
    places = placed(renamed.tensors, depths)
    found = {places[key]: tensor for key, tensor in renamed.tensors.items()}
    own_shapes = {key: tuple(tensor.shape) for key, tensor in own.items()}
    wanted, allowed = dict(own_shapes), dict(own)
    out, channels, patch, _ = own_shapes[table.input_conv]
    wanted[table.input_conv] = (
        out,
        geometry.in_channels or channels,
        geometry.patch_size or patch,
        geometry.patch_size or patch,
    )
    kernel = found.get(table.input_conv)
    if (
        kernel is not None
        and kernel.dim() == 4
        and kernel.shape[1] in (channels, geometry.in_channels)
        and kernel.shape[2] in (patch, geometry.patch_size)
    ):
        allowed[table.input_conv] = torch.empty(out, kernel.shape[1], kernel.shape[2], kernel.shape[2], device='meta')
    position = table.position or ''
    embedding, shape = found.get(position), own_shapes.get(position)
    if embedding is not None and shape and embedding.dim() == 4 and embedding.shape[1] == embedding.shape[2]:
        side = embedding.shape[1]
        allowed[position] = torch.empty(1, side, side, shape[3], device='meta')
        wanted[position] = (1, *(geometry.grid or (side, side)), shape[3])
    last = f'norms.{len(depths) - 1}.'
    absent = sorted(set(range(len(depths))) - {_stage(key) for key in found})
    norms = absent_norms(own, found)
    optional = [key for key in norms if not key.startswith(last)]
    lacking = [key for key in own if key not in found and key not in optional]
    fresh = optional
    if source.layout is source.family.ours and absent == list(range(max(1, len(depths) - len(absent)), len(depths))):
        # A model is not built beyond the last stage that it returns, and has norms only if it is asked for them.
        fresh = [key for key in own if _stage(key) in absent] + optional
        if absent or not any(key.startswith('norms.') for key in found):
            fresh += norms
    differences = compare(found, allowed, fresh, numbers=False)
    parts = [f'stage {stage}' for stage in absent] + ['the final norm'] * any(key.startswith(last) for key in fresh)
    return Fit(arch, own, wanted, len(own) - len(optional), parts, lacking, differences)


def _stage(key: str) -> int:
    parts = key.split('.')
    # A damaged name is no stage's, and the comparison refuses it.
    return int(parts[1]) if parts[0] == 'stages' and len(parts[1]) < 4 and parts[1].isdecimal() else -1
