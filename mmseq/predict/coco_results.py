"""Predictions in COCO's format, so that whatever reads COCO annotations reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmseq.files import jsonable
from mmseq.pictures.prediction import INSTANCE_OFFSET, Instances, Prediction


@dataclass(frozen=True)
class Found:
    """What COCO's files hold of one image, in JSON's types.

    Args:
        image: its entry in ``images``, without an id.
        instances: annotations without ids; None where the model finds no instances.
        segments: of panoptic models, else None.
    """

    image: dict[str, Any]
    instances: list[dict[str, Any]] | None = None
    segments: list[dict[str, Any]] | None = None


def found_on(prediction: Prediction, image: dict[str, Any], classes: Sequence[str]) -> tuple[Found, np.ndarray | None]:
    """A prediction for COCO's files.

    Args:
        prediction: of the image.
        image: its entry in ``images`` (``file_name`` and more).
        classes: names.

    Returns:
        What the files hold, and the panoptic map as COCO's PNG files hold it, (H, W, 3) bytes, if there is one.
    """
    height, width = prediction.size
    entry = dict(image, width=width, height=height)
    instances = None if prediction.instances is None else jsonable(instance_rows(prediction.instances))
    if prediction.panoptic is None:
        return Found(entry, instances), None
    coded, segments = code_panoptic(prediction.panoptic, len(classes))
    return Found(entry, instances, segments), coded


class CocoResults:
    """Images, and the instances and panoptic segments on them, as they come.

    ``annotations`` is also what ``COCO.loadRes`` takes. Images and annotations count from 1; categories are the places
    of the classes from 1, whatever ids the training data had: match them by name.

    Args:
        classes: names.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = classes
        self.categories = [dict(id=i, name=name) for i, name in enumerate(classes, 1)]
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] | None = None
        """None until there is a prediction of a detector."""
        self.segments: list[dict[str, Any]] = []

    def add(self, found: Found) -> None:
        """Add what was found on an image."""
        number = len(self.images) + 1
        self.images.append(dict(id=number, **found.image))
        if found.instances is not None:
            self.annotations = self.annotations or []
            first = len(self.annotations) + 1
            self.annotations += [dict(id=i, image_id=number, **row) for i, row in enumerate(found.instances, first)]
        if found.segments is not None:
            self.segments.append(dict(image_id=number, segments_info=found.segments))

    def detections(self) -> dict[str, Any]:
        """The instances as a file of COCO annotations."""
        return dict(images=self.images, annotations=self.annotations, categories=self.categories)

    def panoptic(self, names: Sequence[str]) -> dict[str, Any]:
        """The segments as a file of COCO's panoptic annotations, given the PNG files' names."""
        rows = [dict(row, file_name=name) for row, name in zip(self.segments, names)]
        return dict(images=self.images, annotations=rows, categories=self.categories)


def instance_rows(instances: Instances) -> list[dict[str, Any]]:
    """COCO's annotations of one image, masks as compressed run lengths."""
    corners = instances.boxes.astype(float)
    sizes = corners[:, 2:] - corners[:, :2]
    rows = []
    for corner, size, label, score in zip(corners, sizes, instances.labels, instances.scores):
        box = [round(float(value), 2) for value in (*corner[:2], *size)]
        area = round(float(size.prod()), 2)
        rows.append(dict(category_id=int(label) + 1, bbox=box, score=score, area=area, iscrowd=0))
    if instances.masks is not None:
        for row, coded, area in zip(rows, instances.masks, instances.masks.areas):
            row['segmentation'], row['area'] = coded, int(area)
    return rows


def code_panoptic(panoptic: np.ndarray, classes: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """A map of segments as (H, W, 3) bytes, red lowest, with 0 for no segment; and the list of its segments."""
    ids, inverse = np.unique(panoptic, return_inverse=True)
    numbers = np.zeros(len(ids), np.uint32)
    segments: list[dict[str, Any]] = []
    inverse = inverse.reshape(panoptic.shape)
    for place, label in enumerate(ids % INSTANCE_OFFSET):
        if label >= classes:
            continue
        numbers[place] = len(segments) + 1
        rows, columns = np.nonzero(inverse == place)
        top, left = int(rows.min()), int(columns.min())
        box = [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top]
        row = dict(id=len(segments) + 1, category_id=int(label) + 1, bbox=box, area=len(rows), iscrowd=0)
        segments.append(row)
    flat = numbers[inverse]
    return np.stack([flat & 255, flat >> 8 & 255, flat >> 16], axis=2).astype(np.uint8), segments
