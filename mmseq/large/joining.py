"""Detections of overlapping tiles as those of the image: an object that several tiles show becomes one.

Two rules, neither of which needs a score to be right:

1. A detection that a border of its tile cuts, and that another tile shows with more around it, is left to that one.
2. Detections of two tiles are one object if they agree on what both tiles show: the boxes, cut to the tiles' common
   part, overlap by half. So an object longer than a tile is put together piece by piece, and a small object in front
   of a large one stays an object of its own, which joining by the share of the smaller box would swallow.

A tile's own detections are distinct, so an object takes one from each tile at most.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from mmseq.pictures.masks import Masks, union
from mmseq.pictures.prediction import Instances

# Overlap of boxes, as intersection over union, from which two are of one object.
AGREE = 0.5
# Detectors' boxes end a little before or behind a border: a share of the tile's side, and at least so many pixels.
NEAR, LEAST = 0.01, 2.0


def join(found: Sequence[Instances], places: np.ndarray, size: tuple[int, int]) -> Instances:
    """Join the detections of tiles, the surest first.

    Args:
        found: of each tile, in pixels of the image.
        places: (tiles, 4), left, top, right, bottom of each tile in it.
        size: height and width of the image.
    """
    tile = np.repeat(np.arange(len(found)), [len(one.scores) for one in found])
    all_of_them = concatenated(found, size)
    cut = cut_sides(all_of_them.boxes, places[tile], size)
    kept = ~shown_better(all_of_them.boxes, tile, cut, places, size)
    pieces, tile, cut = all_of_them.take(kept), tile[kept], cut[kept]
    objects = grouped(pieces, tile, places)
    chosen = [whole_of(pieces, cut, members) or joined(pieces, members) for members in objects]
    whole = concatenated(chosen, size) if chosen else pieces
    return whole.take(np.argsort(-whole.scores, kind='stable'))


def concatenated(found: Sequence[Instances], size: tuple[int, int]) -> Instances:
    """All detections, one after another."""
    masks = [one.masks for one in found if one.masks is not None]
    edges = [edges for one in masks for edges in one.edges]
    boxes, labels, scores = (
        np.concatenate([getattr(one, name) for one in found]) for name in ('boxes', 'labels', 'scores')
    )
    return Instances(boxes, labels, scores, Masks(edges, size) if masks else None)


def near(places: np.ndarray) -> np.ndarray:
    """(..., 1) pixels from a border within which a box ends at it."""
    sides = places[..., 2:] - places[..., :2]
    return np.maximum(LEAST, NEAR * sides.min(-1, keepdims=True))


def inner(places: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(..., 4): which borders of tiles lie within the image."""
    height, width = size
    return np.concatenate([places[..., :2] > 0, places[..., 2:] < (width, height)], axis=-1)


def cut_sides(boxes: np.ndarray, places: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N, 4): which sides of boxes end at a border of their tile within the image."""
    return inner(places, size) & (np.abs(boxes - places) <= near(places))


def shown_better(
    boxes: np.ndarray, tile: np.ndarray, cut: np.ndarray, places: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """(N,): those that are cut, and that another tile shows with more around them: the first rule."""
    margin = near(places) * inner(places, size)
    lows, highs = places[:, :2] + margin[:, :2], places[:, 2:] - margin[:, 2:]
    # (N, tiles)
    inside = (boxes[:, None, :2] >= lows).all(-1) & (boxes[:, None, 2:] <= highs).all(-1)
    inside[np.arange(len(tile)), tile] = False
    return cut.any(1) & inside.any(1)


def grouped(pieces: Instances, tile: np.ndarray, places: np.ndarray) -> list[list[int]]:
    """The detections of each object, by the second rule; pairs that agree best come first."""
    groups = {place: [place] for place in range(len(tile))}
    for _, first, second in sorted(agreeing(pieces, tile, places), key=lambda pair: -pair[0]):
        one, other = groups[first], groups[second]
        if one is not other and not set(tile[one]) & set(tile[other]):
            one.extend(other)
            groups.update(dict.fromkeys(other, one))
    return list({id(group): group for group in groups.values()}.values())


def agreeing(pieces: Instances, tile: np.ndarray, places: np.ndarray) -> Iterator[tuple[float, int, int]]:
    """Overlap and places of the pairs that are of one object as far as two tiles show."""
    members = [np.flatnonzero(tile == number) for number in range(len(places))]
    for one, other in combinations(range(len(places)), 2):
        common = np.concatenate(
            [np.maximum(places[one, :2], places[other, :2]), np.minimum(places[one, 2:], places[other, 2:])]
        )
        if (common[2:] <= common[:2]).any() or not len(members[one]) or not len(members[other]):
            continue
        firsts, seconds = (clipped(pieces.boxes[members[number]], common) for number in (one, other))
        overlap = overlaps(firsts, seconds)
        overlap *= pieces.labels[members[one]][:, None] == pieces.labels[members[other]]
        for row, column in np.argwhere(overlap >= AGREE):
            yield float(overlap[row, column]), int(members[one][row]), int(members[other][column])


def clipped(boxes: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Boxes cut to an area; those outside have no pixels."""
    corners = np.concatenate([np.maximum(boxes[:, :2], area[:2]), np.minimum(boxes[:, 2:], area[2:])], axis=1)
    corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2])
    return corners


def overlaps(firsts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """(N, M) intersections over unions."""
    sides = np.minimum(firsts[:, None, 2:], seconds[:, 2:]) - np.maximum(firsts[:, None, :2], seconds[:, :2])
    common = sides.clip(min=0).prod(-1)
    total = areas(firsts)[:, None] + areas(seconds) - common
    return np.divide(common, total, out=np.zeros_like(common), where=total > 0)


def areas(boxes: np.ndarray) -> np.ndarray:
    """(N,) pixels."""
    found: np.ndarray = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return found


def whole_of(pieces: Instances, cut: np.ndarray, members: list[int]) -> Instances | None:
    """The surest detection of an object that no border cuts; None if there is none, or none of most of the object."""
    boxes = pieces.boxes[members]
    all_of_it = areas(np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])[None])
    whole = [place for place, area in zip(members, areas(boxes)) if not cut[place].any() and area >= AGREE * all_of_it]
    if not whole:
        return None
    return pieces.take(np.array([max(whole, key=lambda place: pieces.scores[place])]))


def joined(pieces: Instances, members: list[int]) -> Instances:
    """One detection of an object that every tile cuts: from end to end, the highest score, all of its mask."""
    boxes = pieces.boxes[members]
    box = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])[None]
    masks = None
    if pieces.masks is not None:
        masks = Masks([union(pieces.masks.take(np.array(members)))], pieces.masks.size)
    first = max(members, key=lambda place: pieces.scores[place])
    return Instances(box, pieces.labels[first][None], pieces.scores[first][None], masks)
