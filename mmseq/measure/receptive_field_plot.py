"""A picture of effective receptive fields: of each level the field before and after training, and both its axes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from mmseq.files import write_figure
from mmseq.measure.receptive_field import SHARES, Level, area, profiles

# Shares of the largest value at which a field is black and a profile cut off.
FLOOR = 1e-3
# Inches of a field's longer side.
SIDE = 2.6
INK, GRID = '#303030', '#e4e4e4'
# Distinguishable with a colour vision deficiency: Okabe and Ito 2008.
COLOURS = ('#56b4e9', '#d55e00', '#009e73')
OUTLINES = ('solid', (0, (4, 3)))


def plot(found: Mapping[str, Sequence[Level]], title: str, out: Path) -> Path:
    """Draw a row for each level, fields on the left, profiles along both axes on the right.

    Args:
        found: of each set of weights, by the name it is to have, the levels, in one order.
        title: of the picture.
        out: the PNG to write.

    Returns:
        ``out``.
    """
    levels = list(zip(*found.values()))
    height, width = levels[0][0].field.shape
    across, down = (SIDE * side / max(height, width) for side in (width, height))
    size = ((across + 0.35) * len(found) + 6.6, max(down + 0.5, 1.8) * len(levels) + 1.1)
    figure = Figure(figsize=size, dpi=100, layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha='left', fontsize=12, color=INK)
    widths = [across] * len(found) + [3.0, 3.0]
    grid = figure.subplots(len(levels), len(widths), squeeze=False, width_ratios=widths)
    for panels, row in zip(grid, levels):
        fields = [draw_field(axes, level) for axes, level in zip(panels, row)]
        place = f'{row[0].place}, level {row[0].level}\nstride {row[0].stride:g} px'
        panels[0].set_ylabel(place, fontsize=9, color=INK)
        for axes, axis in zip(panels[len(found) :], ('row', 'column')):
            draw_profiles(axes, axis, dict(zip(found, row)))
    for axes, name in zip(grid[0], (*found, 'left to right, all rows', 'top to bottom, all columns')):
        axes.set_title(name, loc='left', fontsize=10, color=INK)
    handles = grid[0, -1].get_lines()
    figure.legend(handles=handles, loc='upper right', ncols=len(handles), fontsize=9, frameon=False, labelcolor=INK)
    for axes in grid[-1, len(found) :]:
        axes.set_xlabel('pixels from the cell', fontsize=8, color=INK)
    bar = figure.colorbar(fields[0], ax=grid[:, : len(found)], location='bottom', shrink=0.6, aspect=40, pad=0.01)
    bar.set_label('gradient, share of the largest', fontsize=8, color=INK)
    bar.ax.tick_params(labelsize=8, colors=INK)
    return write_figure(out, figure)


def draw_field(axes: Axes, level: Level) -> AxesImage:
    """The field on a logarithmic scale, and around the cell the squares as large as what holds each share of it."""
    field = level.field.numpy()
    row, column = level.pixel
    image = axes.imshow(np.maximum(field / field.max(), FLOOR), cmap='inferno', norm=LogNorm(FLOOR, 1))
    lines = []
    for share, style in zip(SHARES, OUTLINES):
        found = area(level.field, share)
        corner = (column - found.side / 2, row - found.side / 2)
        square = Rectangle(corner, found.side, found.side, fill=False, color='white', linewidth=1.1, linestyle=style)
        axes.add_patch(square).set_clip_on(True)
        lines.append(f'{100 * share:g} %: {100 * found.of_image:.2g} % of the image, {found.side:.0f} px square')
    axes.set_xlabel('\n'.join(lines), fontsize=8, color=INK)
    axes.set(xticks=[], yticks=[], xlim=(-0.5, field.shape[1] - 0.5), ylim=(field.shape[0] - 0.5, -0.5))
    axes.spines[:].set_visible(False)
    return image


def draw_profiles(axes: Axes, axis: str, levels: Mapping[str, Level]) -> None:
    """One axis's marginals, each as shares of its largest value."""
    for colour, (name, level) in zip(COLOURS, levels.items()):
        marginal = profiles(level.field, level.pixel)[axis]['marginal'].numpy()
        offsets = np.arange(len(marginal)) - level.pixel[1 if axis == 'row' else 0]
        axes.plot(offsets, marginal / marginal.max(), color=colour, linewidth=1.3, label=name)
    axes.set_yscale('log')
    axes.set_ylim(FLOOR, 1.5)
    axes.set_xlim(offsets[0], offsets[-1])
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color('#a0a0a0')
    axes.tick_params(labelsize=8, colors=INK, length=3)
