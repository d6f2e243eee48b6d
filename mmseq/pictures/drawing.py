"""Predictions drawn over their picture, fast enough for videos.

Upstream's visualisers draw with matplotlib, and look for the middle of a class with lists of Python's: on 1280 x 720 px
0.36 s for 20 instances and 1.5 s for 8 classes, against 0.02 s for either here (``benchmarks/drawing.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from mmseq.pictures.lettering import font_of, one_line, tell_missing
from mmseq.pictures.prediction import Instances, Prediction, box_of

# Areas below this share of a picture get no name.
SMALL = 0.002
# Middles of areas are looked for in a map of this many pixels a side at most.
COARSE = 320
# Rows that are coloured at a time: of 6000 px all at once take ten times the image's memory.
STRIP = 256

Place = tuple[float, float, float, float]
"""A point (x, y), and which point of a name lies on it, in shares of the name's width and height."""


@dataclass(frozen=True)
class Chip:
    """A name to be written: text, colour of its ground, and places where it may stand, the best first."""

    text: str
    colour: np.ndarray
    places: list[Place]


def draw(
    prediction: Prediction, classes: Sequence[str], palette: np.ndarray, opacity: float = 0.5, names: bool = True
) -> np.ndarray:
    """The picture with the predictions drawn over it.

    Args:
        prediction: instances below the wanted score left out already.
        classes: names.
        palette: (classes, 3) bytes.
        opacity: of the areas, from 0 to 1.
        names: write the names of classes, and scores.

    Returns:
        (H, W, 3) bytes.
    """
    canvas = prediction.picture.copy()
    chips: list[Chip] = []
    segments = prediction.labels if prediction.labels is not None else prediction.panoptic
    found = prediction.class_map()
    if segments is not None and found is not None:
        labels = np.minimum(found, len(classes))
        fill(canvas, labels, segments, palette, opacity)
        chips += name_areas(labels, classes, palette)
    # Panoptic segments cover what the instances of the same model would.
    if prediction.instances is not None and prediction.panoptic is None:
        chips += draw_instances(canvas, prediction.instances, classes, palette, opacity)
    return write(canvas, chips) if names else canvas


def line_width(canvas: np.ndarray) -> int:
    """Pixels of a line that is seen and hides little."""
    return max(1, round(min(canvas.shape[:2]) / 300))


def fill(canvas: np.ndarray, labels: np.ndarray, segments: np.ndarray, palette: np.ndarray, opacity: float) -> None:
    """Colour the classes, with a light line between segments; pixels beyond the last class stay as they are."""
    colours = np.vstack([palette, [[0, 0, 0]]]).astype(np.uint8)
    for top in range(0, len(canvas), STRIP):
        rows = slice(top, top + STRIP)
        area, own, inside = canvas[rows], labels[rows], segments[rows]
        blended = cv2.addWeighted(area, 1 - opacity, colours[own], opacity, 0)
        np.copyto(area, blended, where=(own < len(palette))[:, :, None])
        edge = np.zeros(own.shape, bool)
        edge[:, 1:] |= inside[:, 1:] != inside[:, :-1]
        # Of the first row against the last of the strip above.
        above = segments[max(top - 1, 0) : top + STRIP]
        edge[len(edge) - len(above) + 1 :] |= above[1:] != above[:-1]
        area[edge] = (0.4 * area[edge] + 0.6 * 255).astype(np.uint8)


def name_areas(labels: np.ndarray, classes: Sequence[str], palette: np.ndarray) -> list[Chip]:
    """A name for each class, where its largest area is widest."""
    step = max(1, -(-max(labels.shape) // COARSE))
    coarse = np.ascontiguousarray(labels[::step, ::step])
    chips = []
    for label, pixels in zip(*np.unique(coarse, return_counts=True)):
        if label < len(classes) and pixels >= SMALL * coarse.size:
            # With a border, so that areas end where the picture does.
            inside = np.pad((coarse == label).astype(np.uint8), 1)
            distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
            y, x = ((place - 0.5) * step for place in np.unravel_index(distance.argmax(), distance.shape))
            chips.append(Chip(classes[label], palette[label], [(x, y, 0.5, part) for part in (0.5, 1.6, -0.6)]))
    return chips


def draw_instances(
    canvas: np.ndarray, instances: Instances, classes: Sequence[str], palette: np.ndarray, opacity: float
) -> list[Chip]:
    """Masks and boxes, the surest on top; returns their names."""
    width, chips = line_width(canvas), []
    for i in reversed(range(len(instances))):
        colour = palette[instances.labels[i]]
        left, top, end, bottom = (round(float(value)) for value in instances.boxes[i])
        if instances.masks is not None:
            draw_area(canvas, *instances.masks.crop(i), colour, opacity, width)
        cv2.rectangle(canvas, (left, top), (end, bottom), colour.tolist(), width, cv2.LINE_AA)
        text = f'{classes[instances.labels[i]]} {instances.scores[i]:.2f}'
        # Above the box, in it, at its right end, below it.
        places: list[Place] = [(left, top, 0, 1), (left, top, 0, 0), (end, top, 1, 1), (left, bottom, 0, 0)]
        chips.append(Chip(text, colour, places))
    return chips[::-1]


def draw_mask(canvas: np.ndarray, mask: np.ndarray, colour: np.ndarray, opacity: float, width: int) -> None:
    """An area of the canvas, given as (H, W) booleans, with a line around it."""
    left, top, right, bottom = box_of(mask)
    draw_area(canvas, left, top, mask[top:bottom, left:right], colour, opacity, width)


def draw_area(
    canvas: np.ndarray, left: int, top: int, inside: np.ndarray, colour: np.ndarray, opacity: float, width: int
) -> None:
    """An area with a line around it, given as (h, w) booleans of the pixels from (left, top) on."""
    if not inside.size:
        return
    part = (slice(top, top + inside.shape[0]), slice(left, left + inside.shape[1]))
    area = canvas[part]
    area[inside] = ((1 - opacity) * area[inside] + opacity * colour).astype(np.uint8)
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outline = np.ascontiguousarray(area)
    cv2.drawContours(outline, contours, -1, colour.tolist(), width, cv2.LINE_AA)
    canvas[part] = outline


def write(canvas: np.ndarray, chips: Sequence[Chip]) -> np.ndarray:
    """Write names on their colour, the first ones where they want to be."""
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    height = int(np.clip(min(canvas.shape[:2]) / 34, 9, 30))
    pad = round(height * 0.3)
    tell_missing(chip.text for chip in chips)
    taken: list[tuple[float, float, float, float]] = []
    for chip in chips:
        text = one_line(chip.text)
        font = font_of(height, text)
        size = (pen.textlength(text, font=font) + 2 * pad, height * 1.35)
        box = free_place(chip.places, size, picture.size, taken)
        taken.append(box)
        ink = 'black' if chip.colour @ (0.299, 0.587, 0.114) > 140 else 'white'
        pen.rounded_rectangle(box, radius=pad, fill=tuple(chip.colour.tolist()))
        pen.text((box[0] + pad, (box[1] + box[3]) / 2), text, fill=ink, font=font, anchor='lm')
    return np.array(picture)


def free_place(
    places: Sequence[Place],
    size: tuple[float, float],
    bounds: tuple[int, int],
    taken: Sequence[tuple[float, float, float, float]],
) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the first place within the bounds that is not taken, or else of the first."""
    boxes = []
    for x, y, across, down in places:
        left = min(max(x - across * size[0], 0), max(bounds[0] - size[0], 0))
        top = min(max(y - down * size[1], 0), max(bounds[1] - size[1], 0))
        boxes.append((left, top, left + size[0], top + size[1]))
    for box in boxes:
        if not any(box[0] < old[2] and box[2] > old[0] and box[1] < old[3] and box[3] > old[1] for old in taken):
            return box
    return boxes[0]
