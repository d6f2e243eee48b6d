"""Matches of images, written down by hand."""

from dataclasses import dataclass, field

import numpy as np

from mmseq.evaluation.matching import LEAST_OVERLAP, Matches


@dataclass
class Image:
    """Detections by falling score (with indices of this image's objects, or -1) and overlaps with every object."""

    truth: list[int]
    scores: list[float] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    matched: list[int] = field(default_factory=list)
    ious: list[list[float]] = field(default_factory=list)
    image_id: int = 0


def together(*images: Image) -> Matches:
    """The images as an evaluation has them."""
    objects = np.cumsum([0, *(len(image.truth) for image in images)])
    detections = np.cumsum([0, *(len(image.scores) for image in images)])
    pairs = [(np.zeros((0, 2), int), np.zeros(0))]
    for image, d, g in zip(images, detections, objects):
        ious = np.array(image.ious, dtype=float).reshape(len(image.scores), len(image.truth))
        pairs.append((np.argwhere(ious >= LEAST_OVERLAP) + (d, g), ious[ious >= LEAST_OVERLAP]))
    matched = [i + g if i >= 0 else -1 for image, g in zip(images, objects) for i in image.matched]
    return Matches(
        image_ids=[image.image_id for image in images],
        images=np.repeat(np.arange(len(images)), np.diff(detections)),
        scores=np.array([score for image in images for score in image.scores], dtype=float),
        classes=np.array([k for image in images for k in image.classes], dtype=int),
        matched=np.array(matched, dtype=int),
        truth_images=np.repeat(np.arange(len(images)), np.diff(objects)),
        truth_classes=np.array([k for image in images for k in image.truth], dtype=int),
        pairs=np.concatenate([pair for pair, _ in pairs]),
        ious=np.concatenate([iou for _, iou in pairs]),
    )
