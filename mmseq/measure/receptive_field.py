"""How far a cell of a feature map sees: effective receptive fields (Luo et al., NeurIPS 2016, arXiv 1701.04128).

The field of a cell is the absolute gradient of its value with respect to each pixel. A cell has many channels, so its
value is read along a random direction of them: their plain sum would have no gradient behind a LayerNorm, whose
channels always sum to the same. In the mean over directions, of which each image has its own, a pixel counts as much
as the root of the summed squares of all channels' gradients.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Cell = tuple[int, int]
SHARES = (0.5, 0.9)
"""Those of the gradient whose areas are told."""


def effective_receptive_field(
    model_or_backbone: nn.Module,
    images: Tensor,
    level: int,
    position: Cell | None = None,
    *,
    after_neck: bool = False,
) -> Tensor:
    """What a cell of one level sees of its image.

    Args:
        model_or_backbone: a detector or segmentor of upstream's kind, whose backbone is looked at, or a backbone. It
            is run in evaluation mode and is afterwards as it was.
        images: (B, C, H, W) as the backbone takes them, normalised already, on its device.
        level: which of the maps, from 0.
        position: row and column of the cell in that level's map; by default the one in the middle. See
            :func:`cell_at` for that of a pixel.
        after_neck: look at the maps that the neck makes instead of the backbone's.

    Returns:
        (H, W): absolute gradients, summed over the image's channels and averaged over the images.

    Raises:
        ValueError: no such level or cell, no neck to look behind, or fewer or more axes than four.
    """
    return effective_receptive_fields(model_or_backbone, images, {level: position}, after_neck=after_neck)[level]


def effective_receptive_fields(
    model_or_backbone: nn.Module,
    images: Tensor,
    cells: Mapping[int, Cell | None],
    *,
    after_neck: bool = False,
    seed: int = 0,
    progress: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter,
) -> dict[int, Tensor]:
    """The same of several levels, from one forward pass per image: images go one by one, for the memory's sake.

    Args:
        model_or_backbone: see :func:`effective_receptive_field`, also for what is raised.
        images: see there.
        cells: for each level that is asked for the position of its cell, or None.
        after_neck: see there.
        seed: of the random directions, so that a second call gives the same.
        progress: wraps the images as they are taken.

    Returns:
        (H, W) for each level, in float32.
    """
    if images.dim() != 4:
        raise ValueError(f'images of shape {tuple(images.shape)}: expected (B, C, H, W)')
    features = extractor(model_or_backbone, after_neck)
    # One for each level: its directions are the same whichever others are asked for.
    generators = {level: torch.Generator().manual_seed(seed + level) for level in cells}
    fields = {level: images.new_zeros(images.shape[2:], dtype=torch.float32) for level in cells}
    with differentiable(model_or_backbone), torch.inference_mode(False), torch.enable_grad():
        for image in progress(images.split(1)):
            # A clone, since one made in inference mode takes no gradient.
            image = image.clone().requires_grad_()
            maps = features(image)
            for number, (level, position) in enumerate(cells.items(), 1):
                value = unit(maps, level, position, generators[level])
                (gradient,) = torch.autograd.grad(value, image, retain_graph=number < len(cells))
                fields[level] += gradient[0].float().abs().sum(0) / len(images)
    return fields


def extractor(model: nn.Module, after_neck: bool) -> Callable[[Tensor], Sequence[Tensor]]:
    """What makes maps of images.

    Raises:
        ValueError: no neck to look behind.
    """
    if not after_neck:
        return getattr(model, 'backbone', model)
    if getattr(model, 'neck', None) is None:
        raise ValueError(f'{type(model).__name__} has no neck: its heads read the maps of the backbone')
    detector: Any = model
    return detector.extract_feat


@contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """Evaluation mode with gradients of the images alone: what only those of the weights need is not kept."""
    modes = [(module, module.training) for module in model.modules()]
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for module, _ in modes:
        # cuDNN refuses an RNN's backward pass in evaluation mode, which changes nothing but its dropout.
        module.training = isinstance(module, nn.RNNBase) and module.dropout == 0
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter in learning:
            parameter.requires_grad_(True)


def unit(maps: Sequence[Tensor], level: int, position: Cell | None, generator: torch.Generator) -> Tensor:
    """The value of a cell along a random direction of its channels.

    Raises:
        ValueError: no such level or cell.
    """
    if not 0 <= level < len(maps):
        raise ValueError(f'level {level}: the model has the levels 0 to {len(maps) - 1}')
    chosen = maps[level]
    height, width = chosen.shape[2:]
    row, column = position or (height // 2, width // 2)
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f'position {row, column}: the map of level {level} has {height} x {width} cells')
    # Drawn on the CPU, so that every device has the same.
    direction = torch.randn(chosen.shape[1], generator=generator).to(chosen)
    return chosen[0, :, row, column] @ direction


def cell_at(pixel: tuple[float, float], stride: float, size: Sequence[int]) -> Cell:
    """Row and column of the cell of a map of ``size`` (rows, columns) that contains a pixel (y, x)."""
    row, column = (min(max(int(at // stride), 0), cells - 1) for at, cells in zip(pixel, size))
    return row, column


@dataclass(frozen=True)
class Level:
    """The field of a cell of one level.

    Args:
        place: ``backbone`` or ``neck``.
        level: which of its maps, from 0.
        stride: pixels per cell.
        cell: row and column.
        pixel: row and column of the pixel in the cell's middle.
        field: (H, W), see :func:`effective_receptive_field`.
    """

    place: str
    level: int
    stride: float
    cell: Cell
    pixel: Cell
    field: Tensor


def fields_at(
    model: nn.Module,
    images: Tensor,
    pixel: tuple[float, float],
    *,
    after_neck: bool = False,
    progress: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter,
) -> list[Level]:
    """The fields of the cells of all levels that contain a pixel.

    Args:
        model: see :func:`effective_receptive_field`, also for what is raised.
        images: see there.
        pixel: row and column in the images.
        after_neck: see there.
        progress: see :func:`effective_receptive_fields`.
    """
    place, size = ('neck' if after_neck else 'backbone'), images.shape[2:]
    with torch.no_grad():
        shapes = [tuple(found.shape[2:]) for found in extractor(model, after_neck)(images[:1])]
    known = None if after_neck else getattr(getattr(model, 'backbone', model), 'out_strides', None)
    strides = known or [stride_of(size, shape) for shape in shapes]
    cells = {level: cell_at(pixel, *both) for level, both in enumerate(zip(strides, shapes))}
    fields = effective_receptive_fields(model, images, cells, after_neck=after_neck, progress=progress)
    return [Level(place, i, strides[i], cells[i], middle(cells[i], strides[i], size), fields[i].cpu()) for i in cells]


def stride_of(image: Sequence[int], size: Sequence[int]) -> float:
    """Pixels per cell of a map, from its size: the power of two that gives it, or the quotient of the heights."""
    for stride in (2**k for k in range(12)):
        if all(-(-pixels // stride) == cells for pixels, cells in zip(image, size)):
            return stride
    return image[0] / size[0]


def middle(cell: Cell, stride: float, image: Sequence[int]) -> Cell:
    """The pixel in the middle of a cell, within the image."""
    row, column = (min(int((at + 0.5) * stride), pixels - 1) for at, pixels in zip(cell, image))
    return row, column


@dataclass(frozen=True)
class Area:
    """The fewest pixels that hold a share of all gradient: those with the largest.

    Args:
        share: of the gradient, 0 to 1.
        pixels: how many.
        of_image: how many of the image's, 0 to 1.
        side: of the square of as many pixels.
    """

    share: float
    pixels: int
    of_image: float
    side: float


def area(field: Tensor, share: float) -> Area:
    """How large the field is, (H, W), that holds a share of the gradient.

    Raises:
        ValueError: a share that is none, or a field without any gradient.
    """
    if not 0 < share <= 1:
        raise ValueError(f'share {share}: expected a number above 0, at most 1')
    held = field.double().flatten().sort(descending=True).values.cumsum(0)
    if not held[-1] > 0:
        raise ValueError('the field holds no gradient: the cell does not depend on the image')
    # The first pixel with which the share is reached.
    pixels = int((held < share * held[-1]).sum()) + 1
    return Area(share, pixels, pixels / held.numel(), pixels**0.5)


def profiles(field: Tensor, pixel: Cell) -> dict[str, dict[str, Tensor]]:
    """The field along both axes, as shares of all its gradient.

    Args:
        field: (H, W).
        pixel: row and column that the profiles run through.

    Returns:
        ``row``, from left to right, and ``column``, from top to bottom: each ``through`` the pixel alone, and
        ``marginal``, summed over all rows, or columns.
    """
    shares = field.double() / field.double().sum()
    row, column = pixel
    return dict(
        row=dict(through=shares[row], marginal=shares.sum(0)),
        column=dict(through=shares[:, column], marginal=shares.sum(1)),
    )
