"""The picture of a confusion matrix: shares of the true classes, and the worst pairs beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmseq.files import write_csv, write_figure, write_json
from mmseq.pictures.lettering import matplotlib_fonts, one_line, plain
from mmseq.runs.confusion import Confusion, choose_classes, confused_pairs, describe

INK, FAINT, EMPTY = '#303030', '#8a8a8a', '#f2f2f2'
# What is right is blue and what is wrong vermilion, as in the curves; what has no class on one side is grey.
MAPS: dict[str, Colormap] = {
    'right': LinearSegmentedColormap.from_list('right', ('#f4f8fb', '#8cc0e2', '#0072b2', '#003d61')),
    'taken for another': LinearSegmentedColormap.from_list('wrong', ('#faf7f5', '#fbc39b', '#d55e00', '#7a3200')),
    'background': LinearSegmentedColormap.from_list('nothing', ('#f7f7f7', '#c9c9c9', '#7d7d7d', '#3a3a3a')),
}
RIGHT, WRONG, NOTHING = MAPS
# Inches of a cell by the number of columns, and the most columns whose cells hold a number.
CELLS = ((14, 0.42), (26, 0.34), (44, 0.28), (10**6, 0.2))
NUMBERED = 44
# Cells between the classes and what is no class of the picture.
GAP = 0.35
OTHERS, NOT_FOUND, NO_OBJECT = 'all others', 'not found', 'no object'


def write_confusion(confusion: Confusion, folder: Path, title: str, top: int, listed: int, by: str) -> list[Path]:
    """Write ``confusion.png``, ``confused_pairs.csv`` and ``confusion.json``.

    Args:
        confusion: of an evaluation.
        folder: where to.
        title: of the picture.
        top: most classes in the picture.
        listed: most pairs in the picture; the files have all.
        by: see :func:`mmseq.runs.confusion.confused_pairs`.

    Returns:
        What was written.
    """
    pairs = confused_pairs(confusion, by)
    chosen = choose_classes(confusion, pairs, top)
    columns = ('truth', 'prediction', 'share', 'count', 'truth_count')
    return [
        plot_confusion(confusion, folder / 'confusion.png', title, pairs[:listed], chosen),
        write_csv(folder / 'confused_pairs.csv', columns, ([pair[name] for name in columns] for pair in pairs)),
        write_json(folder / 'confusion.json', describe(confusion, pairs)),
    ]


def plot_confusion(
    confusion: Confusion, out: Path, title: str, pairs: Sequence[dict[str, Any]], chosen: Sequence[int]
) -> Path:
    """Draw the shares of the true classes, and the worst pairs beside them.

    Args:
        confusion: of an evaluation.
        out: the PNG.
        title: above it.
        pairs: to list.
        chosen: places of the classes to show; the others are summed up in a column of their own.

    Returns:
        ``out``.
    """
    with matplotlib_fonts([title, *confusion.classes]):
        return write_figure(out, make_figure(confusion, title, pairs, chosen))


def make_figure(confusion: Confusion, title: str, pairs: Sequence[dict[str, Any]], chosen: Sequence[int]) -> Figure:
    """The figure of :func:`plot_confusion`."""
    rows, columns, shares = arrange(confusion, chosen)
    rows, columns = ([one_line(name) for name in names] for names in (rows, columns))
    cell = next(size for most, size in CELLS if len(columns) <= most)
    left, top = (0.068 * max(map(len, names)) + margin for names, margin in ((rows, 0.45), (columns, 1.05)))
    across, down = (cell * positions(names, len(chosen))[-1] + cell for names in (columns, rows))
    texts = [pair_name(pair) for pair in pairs]
    beside = 0.07 * max(map(len, texts), default=0) + 4.0
    width = max(left + across + 0.3, 5.0) + beside * bool(pairs)
    height = top + max(down, 0.25 * len(pairs)) + 0.75
    figure = Figure(figsize=(width, height), dpi=150, facecolor='white')
    FigureCanvasAgg(figure)

    def box(x: float, y: float, w: float, h: float) -> Axes:
        """Axes in inches, from the upper left corner."""
        return figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))

    figure.text(0.2 / width, 1 - 0.2 / height, plain(title), fontsize=14, color=INK, weight='bold', va='top')
    figure.text(0.2 / width, 1 - 0.52 / height, subtitle(confusion, chosen), fontsize=9, color=FAINT, va='top')
    draw_cells(box(left, top, across, down), rows, columns, shares, cell)
    used = [RIGHT, WRONG, *([NOTHING] if confusion.objects else [])]
    for i, name in enumerate(used):
        draw_scale(box(left + 1.5 * i, top + down + 0.3, 1.2, 0.09), name)
    if pairs:
        draw_pairs(box(width - 3.4, top, 1.8, 0.25 * len(pairs)), pairs, '' if confusion.objects else ' px')
    return figure


def arrange(confusion: Confusion, chosen: Sequence[int]) -> tuple[list[str], list[str], np.ndarray]:
    """Names of rows and columns, and the shares between them; NaN in rows that count nothing."""
    rows, number = [*chosen], len(confusion.classes)
    shares = confusion.shares
    columns, cells = [confusion.classes[i] for i in chosen], [shares[:, chosen]]
    if len(chosen) < number:
        columns.append(OTHERS)
        cells.append(shares[:, [i for i in range(number) if i not in chosen]].sum(axis=1, keepdims=True))
    names = [confusion.classes[i] for i in chosen]
    if confusion.objects:
        rows.append(number)
        names.append(NO_OBJECT)
        columns.append(NOT_FOUND)
        cells.append(shares[:, -1:])
    return names, columns, np.concatenate(cells, axis=1)[rows]


def positions(names: Sequence[str], classes: int) -> list[float]:
    """Where cells begin, in cells; what is no class of the picture stands apart."""
    return [i + GAP * max(0, i - classes + 1) for i in range(len(names))]


def subtitle(confusion: Confusion, chosen: Sequence[int]) -> str:
    """What is counted and what is shown."""
    what = 'objects' if confusion.objects else 'pixels'
    total = confusion.counts[: len(confusion.classes)].sum()
    found = (
        f'found as what they are: {confusion.accuracy:.1%}' if confusion.objects else f'right: {confusion.accuracy:.1%}'
    )
    classes = len(confusion.classes)
    shown = f'{len(chosen)} most confused of {classes} classes' if len(chosen) < classes else f'{classes} classes'
    return f'{short(int(total))} {what}, {found}; {shown}; cells in percent of the true class'


def short(count: int) -> str:
    """A count in three digits: 940, 12.3k, 4.56M."""
    for size, unit in ((10**9, 'G'), (10**6, 'M'), (10**3, 'k')):
        if count >= size:
            return f'{count / size:.3g}{unit}'
    return str(count)


def kind_of(row: int, column: int, rows: Sequence[str], columns: Sequence[str]) -> str:
    """Which colours a cell has."""
    if rows[row] is NO_OBJECT or columns[column] is NOT_FOUND:
        return NOTHING
    return RIGHT if row == column and columns[column] is not OTHERS else WRONG


def draw_cells(axes: Axes, rows: Sequence[str], columns: Sequence[str], shares: np.ndarray, cell: float) -> None:
    """Draw the matrix, with its names at the left and above it."""
    classes = sum(name is not NO_OBJECT for name in rows)
    x, y = positions(columns, classes), positions(rows, classes)
    patches, colours = [], []
    for i, j in np.ndindex(shares.shape):
        if columns[j] is NOT_FOUND and rows[i] is NO_OBJECT:
            continue
        share = shares[i, j]
        # small shares are what is looked for, so that the colour goes with the root
        colour = EMPTY if np.isnan(share) else MAPS[kind_of(i, j, rows, columns)](share**0.5)
        patches.append(Rectangle((x[j] + 0.03, y[i] + 0.03), 0.94, 0.94))
        colours.append(colour)
        if len(columns) <= NUMBERED and share >= 0.005:
            text = f'{100 * share:.0f}'
            ink = 'white' if share > 0.3 else INK
            place = (x[j] + 0.5, y[i] + 0.53)
            axes.text(*place, text, ha='center', va='center', fontsize=21 * cell, color=ink, linespacing=0)
    axes.add_collection(PatchCollection(patches, facecolors=colours, linewidths=0))
    axes.set_xlim(0, x[-1] + 1)
    axes.set_ylim(y[-1] + 1, 0)
    axes.set_xticks([place + 0.5 for place in x], [plain(name) for name in columns], rotation=90)
    axes.set_yticks([place + 0.5 for place in y], [plain(name) for name in rows])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=3, labelsize=min(9, 32 * cell), labelcolor=INK)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        if label.get_text() in (OTHERS, NOT_FOUND, NO_OBJECT):
            label.set(color=FAINT, style='italic')
    axes.spines[:].set_visible(False)
    corner = 'predicted \N{RIGHTWARDS ARROW}\ntrue \N{DOWNWARDS ARROW}'
    axes.annotate(corner, (0, 1), (-4, 4), 'axes fraction', 'offset points', ha='right', fontsize=7, color=FAINT)


def draw_scale(axes: Axes, name: str) -> None:
    """Draw which colour is how much."""
    axes.imshow(
        np.linspace(0, 1, 128)[None] ** 0.5, cmap=MAPS[name], vmin=0, vmax=1, aspect='auto', extent=(0, 1, 0, 1)
    )
    axes.set_yticks([])
    axes.set_xticks([0, 0.25, 1], ['0', '25', '100 %'])
    axes.tick_params(length=2, labelsize=6.5, labelcolor=FAINT, color=FAINT, pad=1.5)
    axes.spines[:].set_visible(False)
    axes.set_title(name, fontsize=7.5, color=INK, loc='left', pad=3)


def pair_name(pair: dict[str, Any]) -> str:
    """A pair in words."""
    return f'{pair["truth"]} \N{RIGHTWARDS ARROW} {pair["prediction"]}'


def draw_pairs(axes: Axes, pairs: Sequence[dict[str, Any]], unit: str) -> None:
    """Draw the worst pairs as bars, each with its names, share and counts."""
    shares = [pair['share'] for pair in pairs]
    most = max(shares)
    axes.barh(range(len(pairs)), shares, height=0.62, color=[MAPS[WRONG](0.25 + 0.5 * s / most) for s in shares])
    for i, pair in enumerate(pairs):
        counts = f'{short(pair["count"])} of {short(pair["truth_count"])}{unit}'
        for text, away, size, colour in ((f'{pair["share"]:.1%}', 4, 8, INK), (counts, 40, 7, FAINT)):
            place: dict[str, Any] = dict(xytext=(away, 0), textcoords='offset points', va='center')
            axes.annotate(text, (pair['share'], i), **place, fontsize=size, color=colour)
    axes.set_yticks(range(len(pairs)), [plain(pair_name(pair)) for pair in pairs])
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.set_xlim(0, most)
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    axes.spines[['top', 'right', 'bottom']].set_visible(False)
    axes.spines['left'].set_color('#c8c8c8')
    axes.set_title('taken for another: the worst pairs', fontsize=9, color=INK, loc='left', pad=8)
