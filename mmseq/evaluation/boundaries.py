"""How well outlines are met: boundary IoU and boundary AP (Cheng et al., CVPR 2021, arXiv 2103.16562), trimap IoU."""

import math
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as rle
from pycocotools.cocoeval import COCOeval

# Widths of a boundary, as share of the image's diagonal: that of the paper.
RATIO = 0.02
# Half widths of the bands of a trimap, in pixels.
TRIMAPS = (1, 2, 4, 8, 16)


def boundary_width(height: int, width: int, ratio: float = RATIO) -> int:
    """The width of boundaries in an image, in pixels; at least one."""
    return max(1, round(ratio * math.hypot(height, width)))


def boundary_of(mask: np.ndarray, width: int) -> np.ndarray:
    """The pixels of a (H, W) mask at most ``width`` from its outline, which the image's border is part of."""
    mask = np.ascontiguousarray(mask, dtype=np.uint8)
    inner = cv2.erode(mask, window(width), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(mask > inner)


def window(reach: int) -> np.ndarray:
    """All pixels up to a distance, in rows and columns."""
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)


def label_boundaries(labels: np.ndarray, width: int) -> np.ndarray:
    """:func:`boundary_of` of every label of a (H, W) map at once, as booleans."""
    # OpenCV's bytes end at 255, and its 16 bits have no 64.
    values = labels.astype(np.float32)
    # Outside of the image everything is lower.
    lowest = cv2.erode(values, window(width), borderType=cv2.BORDER_CONSTANT, borderValue=-1)
    return np.asarray((lowest != values) | (cv2.dilate(values, window(width)) != values))


def trimap(labels: np.ndarray, ignored: np.ndarray, reach: int) -> np.ndarray:
    """The pixels with another label within a distance, in rows and columns.

    Args:
        labels: (H, W).
        ignored: (H, W) pixels without a label, next to which there is no change of labels.
        reach: the distance; a band has so many pixels on either side.
    """
    values = labels.astype(np.float32)
    most = values.max() + 1
    lowest = cv2.erode(np.where(ignored, most, values), window(reach))
    highest = cv2.dilate(np.where(ignored, -1, values), window(reach))
    return np.asarray((lowest < highest) & ~ignored)


def areas(prediction: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Pixels of intersection, prediction and truth of each class, (3, classes); values from there on do not count.

    Args:
        prediction: (N,) places in the classes.
        truth: (N,) the same.
        classes: how many there are.
    """
    both = truth[prediction == truth]
    return np.stack([np.bincount(one[one < classes], minlength=classes) for one in (both, prediction, truth)])


def ious(counts: np.ndarray) -> np.ndarray:
    """IoU of each class from (..., 3, classes) of :func:`areas`; NaN where it occurs neither here nor there."""
    both, predicted, true = np.moveaxis(np.asarray(counts, dtype=np.float64), -2, 0)
    union = predicted + true - both
    return np.divide(both, union, out=np.full(union.shape, np.nan), where=union > 0)


def boundary_areas(prediction: np.ndarray, truth: np.ndarray, classes: int, width: int) -> np.ndarray:
    """:func:`areas` of the boundaries of two (H, W) maps."""
    none = np.int64(classes)
    inside = [np.where(label_boundaries(one, width), one, none) for one in (prediction, truth)]
    # What is no boundary in both is no intersection: the value counts nowhere.
    return areas(inside[0].ravel(), inside[1].ravel(), classes)


class BoundaryEval(COCOeval):
    """pycocotools' evaluation of masks where the overlap is the smaller one of mask IoU and boundary IoU."""

    def __init__(self, truth: Any, found: Any, ratio: float = RATIO) -> None:
        super().__init__(truth, found, 'segm')
        self.ratio = ratio

    def computeIoU(self, imgId: Any, catId: Any) -> Any:
        """(D, G) overlaps of one image and class."""
        regions = super().computeIoU(imgId, catId)
        true, found = self._gts[imgId, catId], self._dts[imgId, catId]
        if not true or not found:
            return regions
        order = np.argsort([-one['score'] for one in found], kind='mergesort')[: self.params.maxDets[-1]]
        outlines = [[self._outline(one) for one in some] for some in ([found[i] for i in order], true)]
        return np.minimum(regions, rle.iou(*outlines, [int(one['iscrowd']) for one in true]))

    def _outline(self, annotation: dict[str, Any]) -> Any:
        mask = rle.decode(annotation['segmentation'])
        outline = boundary_of(mask, boundary_width(mask.shape[0], mask.shape[1], self.ratio))
        return rle.encode(np.asfortranarray(outline, dtype=np.uint8))
