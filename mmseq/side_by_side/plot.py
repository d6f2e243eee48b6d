"""A picture of a comparison: the metric against what each backbone costs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from mmseq.files import write_figure
from mmseq.pictures.lettering import plain

INK, GRID = '#303030', '#e4e4e4'
# Distinguishable with a colour vision deficiency: Okabe and Ito 2008, without the yellow; beyond six another marker.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00')
MARKERS = 'osD^'
Row = dict[str, Any]
AXES: dict[str, Callable[[Row], float]] = {
    'multiply-adds of an image (G)': lambda row: row['madds'] / 1e9,
    'parameters (M)': lambda row: row['parameters'] / 1e6,
    'ms per image': lambda row: 1000 * row['seconds_per_image']['median'],
}


def plot(rows: Sequence[Row], title: str, out: Path) -> Path:
    """Draw the first main metric, mean and range of the seeds, against each cost.

    Args:
        rows: of :func:`mmseq.side_by_side.table.row_of`, at least one.
        title: of the picture.
        out: the PNG to write.
    """
    metric = rows[0]['main'][0]
    figure = Figure(figsize=(13, 4.6), dpi=110, layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(plain(title), x=0.01, ha='left', fontsize=11, color=INK)
    for axes, (what, value) in zip(figure.subplots(1, len(AXES), sharey=True), AXES.items()):
        draw(axes, rows, metric, value)
        axes.set_xlabel(what, fontsize=9, color=INK)
    figure.axes[0].set_ylabel(f'{metric}, mean and range', fontsize=9, color=INK)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    place: dict[str, Any] = dict(loc='outside lower left', ncols=min(6, len(labels)))
    figure.legend(handles, labels, fontsize=8, frameon=False, labelcolor=INK, **place)
    return write_figure(out, figure)


def draw(axes: Axes, rows: Sequence[Row], metric: str, value: Callable[[Row], float]) -> None:
    """One panel."""
    for number, row in enumerate(rows):
        found = row['metrics'][metric]
        ends = [[found['mean'] - found['min']], [found['max'] - found['mean']]]
        axes.errorbar(
            [value(row)],
            [found['mean']],
            yerr=ends,
            fmt=MARKERS[number // len(COLOURS) % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            markersize=6,
            capsize=3,
            linewidth=1.2,
            label=plain(row['backbone']),
        )
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
    axes.xaxis.set_minor_formatter(StrMethodFormatter('{x:g}') if len(axes.get_xticks()) < 3 else NullFormatter())
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color('#a0a0a0')
    axes.tick_params(which='both', labelsize=8, colors=INK, length=3)
