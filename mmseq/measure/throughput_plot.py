"""A picture of what :mod:`mmseq.measure.throughput` measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from mmseq.files import write_figure

INK, GRID = '#303030', '#e4e4e4'
# Distinguishable with a colour vision deficiency: Okabe and Ito 2008, without the yellow.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00')
LINES = {'float32': '-', 'bfloat16': '--'}
TITLES = ('images per second', 'ms per call, p50 to p99', 'peak memory (MB)')
Row = dict[str, Any]


def plot(rows: Sequence[Row], data: dict[str, Any], title: str, out: Path) -> Path:
    """Images per second, latency and peak memory against the size, or against the batch where there is one size.

    Args:
        rows: of :func:`mmseq.measure.throughput.measure`.
        data: of ``data_seconds``; what one process loads is drawn beside what the model does.
        title: of the picture.
        out: the PNG to write.

    Returns:
        ``out``.
    """
    done = [row for row in rows if 'images_per_s' in row]
    by_size = len({(row['height'], row['width']) for row in done}) > 1
    figure = Figure(figsize=(13, 4.1), dpi=110, layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha='left', fontsize=11, color=INK)
    panels = figure.subplots(1, 3)
    lines: dict[tuple[Any, ...], list[Row]] = {}
    for row in done:
        lines.setdefault((row['batch'] if by_size else None, row['dtype'], row['compiled'], row['runtime']), []).append(
            row
        )
    colours: dict[Any, str] = {}
    for (batch, dtype, compiled, runtime), chosen in lines.items():
        colour = colours.setdefault(
            (batch, runtime) if batch else (dtype, compiled, runtime), COLOURS[len(colours) % len(COLOURS)]
        )
        label = ', '.join(
            [f'batch {batch}'] * by_size + [dtype] + ['compiled'] * compiled + [runtime] * (runtime != 'torch')
        )
        style = dict(color=colour, linestyle=LINES[dtype], marker='s' if compiled else 'o', markersize=4, label=label)
        draw(panels, chosen, by_size, style)
    if 'latency_s' in data:
        loaded = 1 / data['latency_s']['p50']
        panels[0].axhline(loaded, color='#7f7f7f', linewidth=1, linestyle=':', label='loading, one process')
    for axes, what in zip(panels, TITLES):
        axes.set_title(what, loc='left', fontsize=10, color=INK)
        label_axes(axes, done, by_size)
    handles, labels = panels[0].get_legend_handles_labels()
    place: dict[str, Any] = dict(loc='outside lower left', ncols=min(6, len(labels)))
    figure.legend(handles, labels, fontsize=8, frameon=False, labelcolor=INK, **place)
    # What is used of the memory is a share of what there is.
    panels[2].set_yscale('linear')
    panels[2].set_ylim(bottom=0)
    return write_figure(out, figure)


def draw(panels: Sequence[Axes], rows: Sequence[Row], by_size: bool, style: dict[str, Any]) -> None:
    """One line in each panel."""
    speed, latency, memory = panels
    x = [row['height'] * row['width'] if by_size else row['batch'] for row in rows]
    speed.plot(x, [row['images_per_s'] for row in rows], linewidth=1.4, **style)
    middle, high = ([1000 * row['latency_s'][p] for row in rows] for p in ('p50', 'p99'))
    latency.plot(x, middle, linewidth=1.4, **style)
    latency.fill_between(x, middle, high, color=style['color'], alpha=0.15, linewidth=0)
    if all(row.get('peak_bytes') is not None for row in rows):
        memory.plot(x, [row['peak_bytes'] / 2**20 for row in rows], linewidth=1.4, **style)


def label_axes(axes: Axes, rows: Sequence[Row], by_size: bool) -> None:
    """Logarithmic axes whose ticks are the sizes, or batches, that were measured."""
    names = {row['height'] * row['width']: f'{row["height"]}x{row["width"]}' for row in rows}
    if not by_size:
        names = {row['batch']: f'{row["batch"]}' for row in rows}
    axes.set_xscale('log')
    axes.set_yscale('log')
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(names), list(names.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel('pixels of an image' if by_size else 'images of a call', fontsize=8, color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color('#a0a0a0')
    axes.tick_params(labelsize=8, colors=INK, length=3)
