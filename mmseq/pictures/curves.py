"""Training curves from the files that mmengine writes while it trains."""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from mmseq.errors import InputError
from mmseq.files import write_figure
from mmseq.pictures.lettering import matplotlib_fonts, plain

# bookkeeping of mmengine, not quantities
_KEYS_OF_POSITION = frozenset({'step', 'iter', 'epoch'})
_COLUMNS = 3
NO_VALUE = -1.0
_TIME, _MEMORY = 'time per iteration (s)', 'memory (MB)'
# drawn as they are and from zero
STEADY = frozenset({_TIME, _MEMORY, 'learning rate', 'time', 'data_time', 'memory', 'lr', 'base_lr'})
# share of a curve that its running mean reaches over
SMOOTHING = 0.05
_INK, _GRID = '#303030', '#e4e4e4'
# distinguishable with a colour vision deficiency: Okabe and Ito 2008, without the yellow
_COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#7f7f7f')

Panels = dict[str, dict[str, dict[int, float]]]
"""Title with unit, then name, then iteration to value."""


@dataclass
class Curves:
    """Scalars over iterations: for each name ascending iterations and as many values.

    ``train`` holds what was logged while training, ``val`` the metrics of validations.
    """

    train: dict[str, dict[int, float]] = field(default_factory=dict)
    val: dict[str, dict[int, float]] = field(default_factory=dict)

    def forget_from(self, iteration: int) -> None:
        """Drop everything at an iteration and beyond, which a resumed run has repeated."""
        for group in (self.train, self.val):
            for name, series in group.items():
                group[name] = {i: value for i, value in series.items() if i < iteration}


def read_curves(work_dir: str | Path) -> Curves:
    """Read the ``vis_data/scalars.json`` of all runs below a work dir and join resumed runs to one.

    A later run replaces what earlier ones logged from its first iteration on, so a run that was started anew stands
    alone. A line that was cut off while being written is skipped.

    Raises:
        InputError: the folder holds no training logs.
    """
    curves = Curves()
    # the names of the run folders are time stamps
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        run = _read_run(path)
        if run.train:
            curves.forget_from(min(i for series in run.train.values() for i in series))
            for joined, new in ((curves.train, run.train), (curves.val, run.val)):
                for name, series in new.items():
                    joined.setdefault(name, {}).update(series)
    if not any(curves.train.values()):
        raise InputError(
            f'{work_dir}: no training log (*/vis_data/scalars.json) in this folder; give the work dir of a training '
            'that has passed its first logging interval'
        )
    return curves


def _read_run(path: Path) -> Curves:
    run = Curves()
    latest, epochs = 0, False
    for record in _records(path):
        training = 'iter' in record
        if training:
            latest = int(record['iter'])
            epochs = epochs or 'epoch' in record
        # A validation is logged under its iteration or under its epoch; in the latter case it belongs to the end of
        # the epoch, of which the last iteration that was logged is as near as the log tells.
        position = latest if training or epochs else int(record.get('step', latest))
        group = run.train if training else run.val
        for name, value in record.items():
            if name in _KEYS_OF_POSITION or isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            # pycocotools' word for a mean over nothing, as over large objects where there are none
            if not training and 'mAP' in name and value == NO_VALUE:
                continue
            if training or name not in ('time', 'data_time'):
                group.setdefault(name, {})[position] = float(value)
    return run


def _records(path: Path) -> Iterable[dict[str, Any]]:
    for line in path.read_text(encoding='utf-8').splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            yield record


def plot_curves(work_dir: str | Path, out: str | Path | None = None) -> Path:
    """Draw losses, learning rate, metrics, time and memory of a training over its iterations.

    Args:
        work_dir: work dir of a training, with one folder for each run.
        out: the picture to write; by default ``curves.png`` in the work dir.

    Returns:
        The path of the picture.

    Raises:
        InputError: the folder holds no training logs.
    """
    curves = read_curves(work_dir)
    out = Path(out) if out is not None else Path(work_dir) / 'curves.png'
    panels = arrange(curves)
    sparse = {title for title, series in panels.items() if not curves.val.keys().isdisjoint(series)}
    return draw(panels, sparse, Path(work_dir).resolve().name, out)


def draw(panels: Panels, sparse: Collection[str], title: str, out: Path, smoothing: float = SMOOTHING) -> Path:
    """Draw panels of curves beside and below each other.

    Args:
        panels: at least one; see :func:`arrange`.
        sparse: titles of those with few points, which are marked, and never smoothed.
        title: of the picture.
        out: the PNG to write.
        smoothing: share of a curve that its running mean reaches over; 0 draws curves as they are.

    Returns:
        ``out``.
    """
    with matplotlib_fonts([title, *panels, *(name for series in panels.values() for name in series)]):
        return write_figure(out, _figure(panels, sparse, title, smoothing))


def _figure(panels: Panels, sparse: Collection[str], title: str, smoothing: float) -> Figure:
    rows = -(-len(panels) // _COLUMNS)
    columns = min(_COLUMNS, len(panels))
    # an own canvas: pyplot would keep the figure alive in its global state
    width, height = 5 * columns, 3.4 * rows + 0.4
    figure = Figure(figsize=(width, height), dpi=120)
    FigureCanvasAgg(figure)
    # Margins in inches: matplotlib's layouts draw everything once more to find them, which was half of the time.
    figure.subplots_adjust(0.55 / width, 0.5 / height, 1 - 0.12 / width, 1 - 0.75 / height, 0.65 / 4.2, 0.85 / 2.6)
    figure.suptitle(plain(title), color=_INK, x=0.1 / width, y=1 - 0.08 / height, ha='left', va='top', fontsize=13)
    last = max(max(points) for series in panels.values() for points in series.values())
    for i, (name, series) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        _draw_panel(axes, name, series, sparse=name in sparse, last=last, smoothing=smoothing)
    return figure


def arrange(curves: Curves) -> Panels:
    """Group the scalars to panels.

    The loss comes first, then the metrics, then the other quantities of training, time and memory last.
    """
    groups: dict[str, dict[str, dict[int, float]]] = {'loss': {}}
    # the total loss before its parts
    train = sorted(curves.train, key=lambda name: (name != 'loss', name))
    for panel_of, names, source in ((_metric_panel, curves.val, curves.val), (_panel_of, train, curves.train)):
        for name in names:
            if series := source[name]:
                groups.setdefault(panel_of(name), {})[name] = series
    last = (_TIME, _MEMORY)
    titles = [title for title in groups if title not in last] + [title for title in last if title in groups]
    return {title: groups[title] for title in titles if groups[title]}


def _panel_of(name: str) -> str:
    last = name.rsplit('.', 1)[-1]
    if 'loss' in last:
        return 'loss'
    if 'acc' in last:
        return 'training accuracy'
    if last in ('lr', 'base_lr'):
        return 'learning rate'
    return {'time': _TIME, 'data_time': _TIME, 'memory': _MEMORY}.get(last, last)


def _metric_panel(name: str) -> str:
    # coco/bbox_mAP_50 belongs to coco/bbox, where all values are fractions; mIoU has no family and is in percent
    if match := re.match(r'(.+)_mAP', name):
        return match[1]
    return name.split('/')[0] if '/' in name else 'validation'


def _draw_panel(
    axes: Axes, title: str, series: dict[str, dict[int, float]], sparse: bool, last: int, smoothing: float
) -> None:
    for i, (name, points) in enumerate(series.items()):
        x, y = np.array(list(points)), np.array(list(points.values()))
        colour = _COLOURS[i % len(_COLOURS)]
        style: dict[str, Any] = dict(color=colour, linestyle='-' if i < len(_COLOURS) else '--')
        if sparse:
            axes.plot(
                x, y, label=plain(name.removeprefix(f'{title}_')), marker='o', markersize=3, linewidth=1.4, **style
            )
        elif smoothing and title not in STEADY and len(y) > 20:
            # the noise stays visible behind its running mean
            axes.plot(x, y, linewidth=0.6, alpha=0.25, **style)
            axes.plot(x, _running_mean(y, smoothing), label=plain(name), linewidth=1.6, **style)
        else:
            axes.plot(x, y, label=plain(name), linewidth=1.4, **style)
    # At a height that is given: else all labels are measured, twice, to find one. A factor of the axis is below it.
    axes.set_title(plain(title), loc='left', fontsize=10, color=_INK, y=1, pad=13)
    axes.set_xlim(0, last * 1.02)
    axes.set_xlabel('iteration', fontsize=8, color=_INK)
    axes.xaxis.set_major_formatter(EngFormatter(sep=''))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color('#a0a0a0')
    axes.tick_params(labelsize=8, colors=_INK, length=3)
    if title == 'loss' and _spans_decades(series):
        axes.set_yscale('log')
    else:
        axes.ticklabel_format(axis='y', scilimits=(-3, 6))
        axes.yaxis.get_offset_text().set(size=8, color=_INK)
    if title in STEADY:
        axes.set_ylim(bottom=0)
    if len(series) > 1 or sparse:
        axes.legend(fontsize=7, frameon=False, labelcolor=_INK, ncols=1 + len(series) // 7)


def _running_mean(values: np.ndarray, share: float = SMOOTHING) -> np.ndarray:
    """Mean over a centred window of a share of the curve, cut off at its ends, NaN left out."""
    half = max(1, int(len(values) * share / 2))
    finite = np.isfinite(values)
    sums = np.concatenate([[0], np.cumsum(np.where(finite, values, 0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    total = counts[high] - counts[low]
    return np.where(total > 0, (sums[high] - sums[low]) / np.maximum(total, 1), np.nan)


def _spans_decades(series: dict[str, dict[int, float]]) -> bool:
    values = np.array([value for points in series.values() for value in points.values()])
    values = values[np.isfinite(values)]
    return values.size > 0 and values.min() > 0 and values.max() / values.min() > 100
