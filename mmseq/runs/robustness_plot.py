"""Pictures of a robustness measurement, one for each part that has one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from mmseq.evaluation.places import GRID, band_names
from mmseq.files import write_figure

INK, FAINT, RULE = '#303030', '#8a8a8a', '#e4e4e4'
# Distinguishable with a colour vision deficiency: Okabe and Ito 2008.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00')
# From bad to good.
SHADES = LinearSegmentedColormap.from_list('shades', ('#fbeee6', '#cfe3f1', '#0072b2'))
# The first classes, whose names fit below the bars.
CLASSES = 40
Summary = Mapping[str, Any]


def plot(summary: Summary, folder: Path) -> list[Path]:
    """Draw every part that a summary has; returns the PNGs."""
    return [write_figure(folder / f'{part}.png', draw(summary)) for part, draw in DRAWERS.items() if summary.get(part)]


def panels(count: int, width: float = 5.2, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels beside each other."""
    figure = Figure(figsize=(width * count, height), dpi=110, layout='constrained')
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(1, count)))


def finish(axes: Axes, title: str, x: str = '', y: str = '') -> None:
    """Titles, and lines that do not draw the eye."""
    axes.set_title(title, loc='left', fontsize=10, color=INK)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=INK)
    axes.spines[['top', 'right']].set_visible(False)


def corruptions(summary: Summary) -> Figure:
    """A table of shades: corruptions by severity, in percent of the clean figure."""
    part = summary['corruptions']
    names = part['names']
    figure, axes = panels(len(part['metrics']), 4.6, 1.4 + 0.28 * len(names))
    for one, (metric, values) in zip(axes, part['metrics'].items()):
        severities = sorted({severity for row in values['by_corruption'].values() for severity in row})
        clean = values['clean'] or np.nan
        table = [[values['by_corruption'][name].get(s, np.nan) / clean for s in severities] for name in names]
        shade(one, 100 * np.array(table, dtype=float), '{:.0f}')
        one.set_yticks(range(len(names)), [name.replace('_', ' ') for name in names])
        one.set_xticks(range(len(severities)), severities)
        relative = '' if values['rPC'] is None else f', rPC {100 * values["rPC"]:.1f} %'
        finish(one, f'{short(metric)} {values["clean"]:.3g}, mPC {values["mPC"]:.3g}{relative}', 'severity')
    figure.suptitle('percent of the clean figure', x=0.01, ha='left', fontsize=9, color=FAINT)
    return figure


def shade(axes: Axes, table: np.ndarray, form: str, top: float = 100) -> None:
    """A (rows, columns) table as coloured cells with their numbers; cells without one stay empty."""
    axes.imshow(table, cmap=SHADES, vmin=0, vmax=top, aspect='auto')
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = 'white' if value > 0.75 * top else INK
            axes.text(column, row, form.format(value), ha='center', va='center', fontsize=7, color=colour)


def boundaries(summary: Summary) -> Figure:
    """Of each class, the figure of outlines beside that of areas; of a segmentor also the IoU near changes."""
    details = summary['boundaries']['details']
    trimaps = details.get('trimaps')
    figure, axes = panels(2 if trimaps else 1)
    shown = [name for name in ('IoU', 'boundary_IoU', 'AP', 'AP50', 'AP75') if name in details]
    grouped(axes[0], details.get('classes', [])[:CLASSES], {name.replace('_', ' '): details[name] for name in shown})
    finish(axes[0], 'by class' if trimaps else 'boundary AP by class')
    if trimaps:
        values = numbers(band['mIoU'] for band in trimaps)
        axes[1].plot([band['pixels'] for band in trimaps], values, 'o-', color=COLOURS[0])
        axes[1].set_xscale('log', base=2)
        axes[1].xaxis.set_major_formatter('{x:g}')
        axes[1].grid(color=RULE)
        finish(axes[1], 'mIoU near changes of label', 'pixels on either side')
    return figure


def grouped(axes: Axes, labels: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> None:
    """Bars side by side for each label."""
    wide = 0.8 / max(len(series), 1)
    for number, (name, values) in enumerate(series.items()):
        places = np.arange(len(labels)) + wide * (number - (len(series) - 1) / 2)
        axes.bar(places, numbers(values)[: len(labels)], wide, color=COLOURS[number % len(COLOURS)], label=name)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha='right')
    axes.legend(fontsize=8, frameon=False, labelcolor=INK)


def numbers(values: Any) -> np.ndarray:
    """Numbers, NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def resolution(summary: Summary) -> Figure:
    """The main metrics over the size of images, and those by size of objects."""
    found = summary['resolution']
    factors = [row['factor'] for row in found]
    main = list(summary['main'])
    sizes = [name for name in found[0]['metrics'] if is_by_size(name, main)]
    figure, axes = panels(2 if sizes else 1)
    for one, names, title in zip(axes, (main, sizes), ('all objects', 'by size of objects')):
        for number, name in enumerate(names):
            # pycocotools has -1 where there is no object
            values = np.array([value if value != -1 else np.nan for value in of_all(found, name)])
            if np.isfinite(values).any():
                one.plot(factors, values, 'o-', color=COLOURS[number % len(COLOURS)], label=short(name))
        one.grid(color=RULE)
        one.legend(fontsize=8, frameon=False, labelcolor=INK)
        finish(one, title, 'size of images, by that of the test')
    return figure


def of_all(found: Sequence[Summary], name: str) -> np.ndarray:
    """A metric of several evaluations, NaN where it is absent."""
    return numbers(row['metrics'].get(name) for row in found)


def short(name: str) -> str:
    """A metric without what its name begins with."""
    return name.partition('/')[2] or name


def is_by_size(name: str, main: Sequence[str]) -> bool:
    """Whether a metric is one of small, medium or large objects."""
    return name.startswith('size/') or any(name == f'{one}_{size}' for one in main for size in 'sml')


def consistency(summary: Summary) -> Figure:
    """Agreement of each view with the image as it is, and by the distance from the border."""
    views = summary['consistency']
    figure, axes = panels(2)
    names = list(views)
    bars = axes[0].barh(range(len(names)), numbers(views[name]['agreement'] for name in names), color=COLOURS[0])
    # Most are near 100.
    axes[0].bar_label(bars, fmt='%.1f', label_type='center', fontsize=8, color='white')
    axes[0].set_yticks(range(len(names)), [name.replace('_', ' ') for name in names])
    axes[0].set_xlim(0, 100)
    axes[0].invert_yaxis()
    finish(axes[0], 'agreement with the image as it is (%)')
    for number, name in enumerate(names):
        line(axes[1], views[name]['place']['bands'], name.replace('_', ' '), number)
    finish(axes[1], 'agreement by distance from the border (%)', 'pixels')
    return figure


def line(axes: Axes, values: Sequence[float | None], label: str, number: int) -> None:
    """A line over the bands of distance."""
    style = '-' if number < len(COLOURS) else '--'
    axes.plot(range(len(values)), numbers(values), f'o{style}', color=COLOURS[number % len(COLOURS)], label=label)
    axes.set_xticks(range(len(values)), band_names())
    axes.grid(color=RULE)
    axes.legend(fontsize=8, frameon=False, labelcolor=INK)


def position(summary: Summary) -> Figure:
    """Figures by the distance from the border, and in the cells of the grid."""
    details = summary['position']['details']
    names = [name for name, value in details.items() if isinstance(value, dict) and name != 'weight']
    figure, axes = panels(1 + len(names))
    for number, name in enumerate(names):
        line(axes[0], details[name]['bands'], name, number)
        shade(axes[1 + number], numbers(details[name]['grid']).reshape(GRID, GRID), '{:.0f}')
        axes[1 + number].set_aspect('equal')
        axes[1 + number].set_axis_off()
        finish(axes[1 + number], f'{name} by place (%)')
    finish(axes[0], 'by distance from the border (%)', 'pixels')
    return figure


def calibration(summary: Summary) -> Figure:
    """What is right beside what the model was sure of, and how often it was how sure."""
    details = summary['calibration']['details']
    bins = details['bins']
    found = details.get('pixels') or details['detections']
    places = (np.arange(bins) + 0.5) / bins
    figure, (upper, lower) = panels(2, 4.6, 4.0)
    upper.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle='--', label='as sure as right')
    upper.bar(places, numbers(found['right']), 0.9 / bins, color=COLOURS[0], label='share that is right')
    upper.plot(places, numbers(found['confidence']), 'o', color=COLOURS[1], markersize=4, label='mean confidence')
    upper.legend(fontsize=8, frameon=False, labelcolor=INK)
    metrics = summary['calibration']['metrics']
    finish(upper, ', '.join(f'{name} {value:.3f}' for name, value in metrics.items()), 'confidence')
    lower.bar(places, found['count'], 0.9 / bins, color=COLOURS[2])
    lower.set_yscale('log')
    finish(lower, 'pixels' if 'pixels' in details else 'detections', 'confidence')
    return figure


DRAWERS: dict[str, Callable[[Summary], Figure]] = dict(
    corruptions=corruptions,
    boundaries=boundaries,
    resolution=resolution,
    consistency=consistency,
    position=position,
    calibration=calibration,
)
