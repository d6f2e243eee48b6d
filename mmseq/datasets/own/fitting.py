"""Labels made to fit their image as upstream loads it: in its pixels, turned as its EXIF data says, within its bounds.

OpenCV turns photographs when it loads them, and so do CVAT, LabelMe and Ultralytics; other tools label the stored
picture. Which one it was shows in the size that the labels are for; where they give none, it is the turned one.
"""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmseq.datasets.checks.images import ORIENTATION_TAG, SIDEWAYS, UNREADABLE, DamagedFileError, decode, glance
from mmseq.datasets.formats import open_image
from mmseq.datasets.own import geometry
from mmseq.datasets.own.source import Box, Labelled, Notes, Object, Polygons, Rle

# Rounding leaves boxes this many pixels outside; they are clipped without a word.
ROUNDING = 1.0
UPRIGHT = 1


@dataclass(frozen=True)
class Look:
    """An image file as upstream loads it.

    Args:
        width: in pixels.
        height: in pixels.
        orientation: EXIF's number for how the stored picture has to be turned; 1 for not at all.
    """

    width: int
    height: int
    orientation: int = UPRIGHT

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height before it is turned."""
        sideways = self.orientation in SIDEWAYS
        return (self.height, self.width) if sideways else (self.width, self.height)


def look(path: Path) -> Look:
    """What an image file says of itself; it is decoded only if its end is unusual.

    Raises:
        DamagedFileError: it cannot be loaded.
    """
    header = glance(str(path)) or decode(str(path))[0]
    orientation = UPRIGHT
    if header.turned:
        with open_image(path) as image:
            orientation = int(image.getexif().get(ORIENTATION_TAG, UPRIGHT))
    return Look(header.width, header.height, orientation)


def look_of(labelled: Labelled) -> Look | DamagedFileError:
    """What the image of some labels says of itself, or what is wrong with it; for threads."""
    try:
        if labelled.embedded is None:
            return look(labelled.image)
        with open_image(io.BytesIO(labelled.embedded)) as image:
            image.load()
            return Look(*image.size)
    except DamagedFileError as error:
        return error
    except UNREADABLE as error:
        return DamagedFileError('undecodable', f'{labelled.labels}: its imageData is no image ({error})')


def fitted(labelled: Labelled, look: Look, notes: Notes) -> Labelled | None:
    """The image with its objects in the pixels that upstream loads; None where the labels are for another image.

    Objects without area are left out and counted, those that reach out of the image clipped and counted.
    """
    turn = labelled.size is not None and labelled.size != (look.width, look.height)
    if turn and labelled.size != look.stored:
        width, height = labelled.size or (0, 0)
        where = f'{labelled.image.name}: {width} x {height} instead of {look.width} x {look.height}'
        notes.add('images of another size than their labels say, left out', where)
        return None
    if turn:
        notes.add('labels of photographs before they are turned by EXIF data, turned with them', labelled.image.name)
    objects = [_fitted(one, labelled, look, turn, notes) for one in labelled.objects]
    size = (look.width, look.height)
    return replace(labelled, objects=[one for one in objects if one], size=size, fractions=False)


def _fitted(one: Object, labelled: Labelled, look: Look, turn: bool, notes: Notes) -> Object | None:
    box, mask = one.box, one.mask
    if labelled.fractions:
        scale = np.array((look.width, look.height), float)
        box = box and _box(np.array(box).reshape(2, 2) * scale)
        mask = [points * scale for points in mask] if isinstance(mask, list) else mask
    if turn:
        box = box and _box(geometry.turned_points(np.array(box).reshape(2, 2), look.orientation, *look.stored))
        mask = mask and _turned(mask, look)
    name = f'{one.name} in {labelled.image.name}'
    mask = mask and _clipped(mask, look, name, notes)
    box = _placed(box, mask, look)
    if box is None:
        notes.add('objects without area in their image, left out', name)
        return None
    inner = geometry.clipped_box(box, look.width, look.height)
    if max(abs(a - b) for a, b in zip(box, inner)) > ROUNDING:
        notes.add('boxes that reached out of their image, clipped', name)
    return Object(one.name, inner, mask, one.crowd)


def _placed(box: Box | None, mask: Polygons | Rle | None, look: Look) -> Box | None:
    """The box, or the mask's where it has no area in the image; None where neither has."""
    for candidate in (box, geometry.box_of_mask(mask) if mask else None):
        if candidate and geometry.has_area(geometry.clipped_box(candidate, look.width, look.height)):
            return candidate
    return None


def _box(corners: np.ndarray) -> Box:
    return geometry.box_of_points(corners)


def _turned(mask: Polygons | Rle, look: Look) -> Polygons | Rle:
    if isinstance(mask, list):
        return [geometry.turned_points(points, look.orientation, *look.stored) for points in mask]
    return geometry.encode(geometry.turned_map(geometry.decode(mask, *look.stored), look.orientation))


def _clipped(mask: Polygons | Rle, look: Look, name: str, notes: Notes) -> Polygons | Rle | None:
    if not isinstance(mask, list):
        return _checked(mask, look, name, notes)
    if not all(np.isfinite(points).all() for points in mask):
        notes.add('masks with coordinates that are no numbers, left out', name)
        return None
    inner = [geometry.clipped_polygon(points, look.width, look.height) for points in mask]
    whole = [points for points in inner if len(points) > 2 and geometry.polygon_area(points) > 0]
    if not whole:
        notes.add('masks without area in their image, left out', name)
    return whole or None


def _checked(mask: Rle, look: Look, name: str, notes: Notes) -> Rle | None:
    """Run lengths that cover the image and mark something."""
    counts = mask['counts']
    covers = not isinstance(counts, list) or sum(counts) == look.width * look.height
    if list(mask['size']) != [look.height, look.width] or not covers:
        notes.add('masks of another size than their image, left out', name)
        return None
    if isinstance(counts, str):
        mask = dict(mask, counts=counts.encode())
    packed = geometry.run_lengths(mask, look.width, look.height)
    if not geometry.mask_area(packed):
        notes.add('masks without area in their image, left out', name)
        return None
    return packed


def fitted_map(values: np.ndarray, look: Look) -> np.ndarray:
    """A label map (H, W), of the size of its image or of the stored picture, in the size that upstream loads."""
    if values.shape == (look.height, look.width):
        return values
    assert values.shape == look.stored[::-1]
    return geometry.turned_map(values, look.orientation)
