"""Receptive fields drawn over their picture."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmseq.files import write_figure

# Inches of the longer side of a picture.
SIDE = 4.0
DPI = 100
COLUMNS = 2

Place = tuple[float, float]
"""Across and down, in shares of a picture's sides."""


def draw_field(picture: np.ndarray, seen: np.ndarray, point: tuple[float, float]) -> np.ndarray:
    """A receptive field (any size) glowing on its darkened picture, with a ring at the point (shares of the sides)."""
    height, width = picture.shape[:2]
    heat = cv2.resize(seen, (width, height), interpolation=cv2.INTER_LINEAR)
    heat = cv2.GaussianBlur(heat, (0, 0), max(0.6, max(height, width) / 400))
    # The root lets the faint rim be seen beside the peak.
    heat = np.sqrt(heat / max(float(heat.max()), 1e-30))
    colours = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    grey = picture.mean(axis=2, keepdims=True) * 0.45
    weight = np.minimum(heat * 1.6, 1)[:, :, None]
    shown = np.ascontiguousarray(((1 - weight) * grey + weight * colours).astype(np.uint8))
    centre = (round(point[0] * width), round(point[1] * height))
    radius = max(4, round(max(height, width) / 90))
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.circle(shown, centre, radius, colour, thick, cv2.LINE_AA)
    return shown


def draw_fields(picture: np.ndarray, fields: Mapping[str, tuple[np.ndarray, Place]], out: Path) -> Path:
    """Write a picture with each of its receptive fields over it, two side by side, each below its name.

    Args:
        picture: (H, W, 3) bytes.
        fields: by their names the field, (H, W) of any size, and the place that it belongs to.
        out: the PNG to write.

    Returns:
        ``out``.
    """
    height, width = picture.shape[:2]
    across, down = (SIDE * side / max(height, width) for side in (width, height))
    columns, rows = min(COLUMNS, len(fields)), -(-len(fields) // COLUMNS)
    figure = Figure(figsize=((across + 0.1) * columns, (down + 0.4) * rows), dpi=DPI, layout='constrained')
    FigureCanvasAgg(figure)
    # As large as it is shown, for a fine ring.
    larger = cv2.resize(picture, (round(DPI * across), round(DPI * down)), interpolation=cv2.INTER_CUBIC)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, (name, (seen, place)) in zip(grid, fields.items()):
        axes.imshow(draw_field(larger, seen, place))
        axes.set_title(name, loc='left', fontsize=10)
    return write_figure(out, figure)
