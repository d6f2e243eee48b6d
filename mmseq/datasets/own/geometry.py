"""Boxes, polygons and masks in an image: clipped, turned, measured."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmseq.datasets.own.source import Box, Polygons, Rle

# Corners of the polygon that stands for an ellipse: it covers 99.9 % of it.
CORNERS = 72


def turned_points(points: np.ndarray, orientation: int, width: float, height: float) -> np.ndarray:
    """Points (N, 2) of a stored picture of this size where its EXIF orientation puts them."""
    x, y = points[:, 0], points[:, 1]
    across, down = width - x, height - y
    placed = {
        2: (across, y),
        3: (across, down),
        4: (x, down),
        5: (y, x),
        6: (down, x),
        7: (down, across),
        8: (y, across),
    }
    return np.stack(placed.get(orientation, (x, y)), 1)


def turned_map(values: np.ndarray, orientation: int) -> np.ndarray:
    """A map (H, W) of a stored picture, turned as its EXIF orientation says."""
    if orientation in (2, 4):
        return values[:, ::-1] if orientation == 2 else values[::-1]
    turned = np.rot90(values, {3: 2, 6: -1, 7: 2, 8: 1}.get(orientation, 0))
    return turned.T if orientation in (5, 7) else turned


def clipped_box(box: Box, width: int, height: int) -> Box:
    """What of a box lies in an image; without area if nothing does."""
    left, top, right, bottom = box
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))


def has_area(box: Box) -> bool:
    """Whether a box is wider and higher than nothing; false also of what is no number."""
    return box[2] > box[0] and box[3] > box[1]


def box_of_points(points: np.ndarray) -> Box:
    """The smallest box around points (N, 2)."""
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    return left, top, right, bottom


def box_of_mask(mask: Polygons | Rle) -> Box:
    """The smallest box around a mask."""
    if isinstance(mask, list):
        return box_of_points(np.concatenate(mask))
    left, top, width, height = map(float, coco_mask.toBbox(mask))
    return left, top, left + width, top + height


def clipped_polygon(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """What of a polygon (N, 2) lies in an image, by Sutherland and Hodgman; no points if nothing does."""
    for axis, limit, sign in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        inside = sign * (points[:, axis] - limit) >= 0
        if inside.all():
            continue
        kept: list[np.ndarray] = []
        for k in range(len(points)):
            here, before = points[k], points[k - 1]
            if inside[k] != inside[k - 1]:
                kept.append(before + (here - before) * (limit - before[axis]) / (here[axis] - before[axis]))
            if inside[k]:
                kept.append(here)
        points = np.array(kept).reshape(-1, 2)
    return points


def polygon_area(points: np.ndarray) -> float:
    """The area of a polygon (N, 2)."""
    x, y = points[:, 0], points[:, 1]
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def mask_area(mask: Polygons | Rle) -> float:
    """The area of a mask; of polygons the sum, as COCO has it."""
    return sum(map(polygon_area, mask)) if isinstance(mask, list) else float(coco_mask.area(mask))


def rectangle(box: Box) -> np.ndarray:
    """The corners (4, 2) of a box."""
    left, top, right, bottom = box
    return np.array(((left, top), (right, top), (right, bottom), (left, bottom)), float)


def ellipse(x: float, y: float, across: float, down: float, degrees: float = 0) -> np.ndarray:
    """A polygon (N, 2) for an ellipse around a point, with two radii, turned clockwise on the screen."""
    turns = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    return rotated(np.stack((x + across * np.cos(turns), y + down * np.sin(turns)), 1), degrees, (x, y))


def rotated(points: np.ndarray, degrees: float, centre: tuple[float, float]) -> np.ndarray:
    """Points (N, 2) turned about a centre, clockwise on the screen."""
    sine, cosine = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
    return (points - centre) @ np.array(((cosine, sine), (-sine, cosine))) + centre


def encode(mask: np.ndarray) -> Rle:
    """Run lengths of a mask (H, W)."""
    found: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return found


def run_lengths(mask: Polygons | Rle, width: int, height: int) -> Rle:
    """Compressed run lengths of any mask in an image of this size."""
    if isinstance(mask, list):
        flat = [polygon.ravel().tolist() for polygon in mask]
        merged: Rle = coco_mask.merge(coco_mask.frPyObjects(flat, height, width))
        return merged
    if isinstance(mask['counts'], list):
        packed: Rle = coco_mask.frPyObjects(mask, height, width)
        return packed
    return mask


def decode(mask: Polygons | Rle, width: int, height: int) -> np.ndarray:
    """Booleans (height, width) of any mask."""
    return np.asarray(coco_mask.decode(run_lengths(mask, width, height)), bool)
