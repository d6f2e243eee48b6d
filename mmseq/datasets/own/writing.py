"""What an import writes: COCO json or label maps, links to the images or copies, and the card."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmseq.datasets.own import geometry
from mmseq.datasets.own.card import IGNORED, Part
from mmseq.datasets.own.source import Labelled, Object
from mmseq.errors import InputError
from mmseq.files import unique, write_json, write_png

# Of coordinates; a hundredth of a pixel is less than anybody draws.
DIGITS = 2
Parts = Mapping[str, Sequence[Labelled]]


@dataclass(frozen=True)
class Place:
    """Where images are named from.

    Args:
        folder: that file names are relative to.
        names: the name of each image, by its file.
    """

    folder: Path
    names: Mapping[Path, str]


def where_they_are(images: Sequence[Labelled]) -> Place:
    """Images that stay in their place, below the folder that they have in common."""
    folder = Path(os.path.commonpath([image.image.parent for image in images]))
    return Place(folder, {image.image: image.image.relative_to(folder).as_posix() for image in images})


def put(images: Sequence[Labelled], folder: Path, copy: bool, suffix: str | None = None) -> Place:
    """Images below a new folder: as links, as copies, or out of their labels.

    Args:
        images: their names keep the folders below the one that all have in common.
        folder: to put them in.
        copy: copy the files instead of making links.
        suffix: of all names; None: each keeps its own.

    Raises:
        InputError: no links can be made here.
    """
    root = Path(os.path.commonpath([image.image.parent for image in images]))
    taken: set[str] = set()
    names = {}
    for image in images:
        stem = image.image.relative_to(root).with_suffix('').as_posix()
        name = unique(stem, taken) + (image.image.suffix if suffix is None else suffix)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _put(image, folder / name, copy)
        names[image.image] = name
    return Place(folder, names)


def _put(image: Labelled, target: Path, copy: bool) -> None:
    if image.embedded is not None:
        target.write_bytes(image.embedded)
    elif copy:
        shutil.copyfile(image.image, target)
    else:
        try:
            target.symlink_to(image.image.resolve())
        except OSError as error:
            raise InputError(f'{target}: no link can be made ({error.strerror}); give --copy') from error


def write_coco(file: Path, images: Sequence[Labelled], classes: Sequence[str], place: Place, masks: bool) -> Part:
    """Write a COCO json of one part.

    Args:
        file: to write.
        images: with objects that fit them, all of known classes.
        classes: names; their ids count from 1.
        place: of the images.
        masks: write masks; a box is its own where an object has no other.
    """
    ids = {name: k for k, name in enumerate(classes, 1)}
    rows: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for number, image in enumerate(images, 1):
        assert image.size is not None
        width, height = image.size
        rows.append(dict(id=number, file_name=place.names[image.image], width=width, height=height))
        for one in image.objects:
            known = dict(id=len(objects) + 1, image_id=number, category_id=ids[one.name], iscrowd=int(one.crowd))
            objects.append(known | _described(one, width, height, masks))
    categories = [dict(id=k, name=name) for name, k in ids.items()]
    write_json(file, dict(info=dict(), images=rows, annotations=objects, categories=categories))
    return Part(place.folder, file)


def _described(one: Object, width: int, height: int, masks: bool) -> dict[str, Any]:
    assert one.box is not None
    left, top, right, bottom = one.box
    mask = (one.mask or [geometry.rectangle(one.box)]) if masks or one.crowd else None
    area = (right - left) * (bottom - top) if mask is None else geometry.mask_area(mask)
    rounded = [round(value, DIGITS) for value in (left, top, right - left, bottom - top)]
    described: dict[str, Any] = dict(bbox=rounded, area=round(area, DIGITS))
    if mask is not None:
        described['segmentation'] = _segmentation(mask, one.crowd, width, height)
    return described


def _segmentation(mask: Any, crowd: bool, width: int, height: int) -> Any:
    # COCO's own tools want run lengths of crowds.
    if isinstance(mask, list) and not crowd:
        return [points.round(DIGITS).ravel().tolist() for points in mask]
    packed = geometry.run_lengths(mask, width, height)
    return dict(size=[height, width], counts=packed['counts'].decode('ascii'))


def drawn(image: Labelled, classes: Sequence[str], ordered: bool) -> np.ndarray:
    """A label map (H, W) of an image's objects; 0 where there is none, and smaller ones above larger ones.

    Args:
        image: with objects that fit it, all with masks.
        classes: names by value; objects of others are ignored.
        ordered: whether later objects lie above earlier ones instead.
    """
    assert image.size is not None
    width, height = image.size
    values = np.zeros((height, width), np.uint8)
    objects = [(one, one.mask) for one in image.objects if one.mask is not None]
    if not ordered:
        objects.sort(key=lambda row: -geometry.mask_area(row[1]))
    for one, mask in objects:
        number = classes.index(one.name) if one.name in classes else IGNORED
        values[geometry.decode(mask, width, height)] = number
    return values


def write_maps(
    folder: Path, images: Sequence[Labelled], copy: bool, suffix: str, read: Callable[[Labelled], np.ndarray]
) -> Part:
    """Write one part of label maps, and links to its images.

    Args:
        folder: of the part.
        images: its images.
        copy: copy them instead of making links.
        suffix: of their names; upstream's loader goes by their content.
        read: gives the classes (H, W) of an image.
    """
    place = put(images, folder / 'images', copy, suffix)
    for image in images:
        write_png((folder / 'labels' / place.names[image.image]).with_suffix('.png'), read(image))
    return Part(folder / 'images', folder / 'labels', suffix, '.png')


def usual_suffix(images: Sequence[Labelled]) -> str:
    """The suffix that most images have, in lower case."""
    counts = Counter(image.image.suffix.lower() for image in images)
    return counts.most_common(1)[0][0]
