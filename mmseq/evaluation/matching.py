"""Detections and true objects, image by image, as pycocotools matched them, and the counts from that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as rle

# Of predictions none of which is right, since then no score is better than another.
USUAL_SCORE = 0.3


@dataclass(frozen=True)
class ImageMatches:
    """One image with D detections, by falling score, and G true objects.

    What the evaluation ignores is left out: crowds, and detections that lie in them.

    Attributes:
        image_id: the data set's id of the image.
        scores: (D,) of the detections.
        classes: (D,) indices of their classes among the evaluation's sorted category ids.
        matched: (D,) index of the true object that a detection was matched to, or -1.
        truth_classes: (G,) classes of the true objects.
        ious: (D, G) overlaps, over all classes.
    """

    image_id: Any
    scores: np.ndarray
    classes: np.ndarray
    matched: np.ndarray
    truth_classes: np.ndarray
    ious: np.ndarray

    def found(self) -> np.ndarray:
        """(G,) whether a detection was matched to the true object."""
        return np.isin(np.arange(len(self.truth_classes)), self.matched)

    def above(self, score: float) -> 'ImageMatches':
        """The image without detections below a score; those that stay are matched as before."""
        stay = self.scores >= score
        return ImageMatches(
            self.image_id,
            self.scores[stay],
            self.classes[stay],
            self.matched[stay],
            self.truth_classes,
            self.ious[stay],
        )


def read_matches(evaluator: Any, iou: float = 0.5) -> list[ImageMatches] | None:
    """What a finished ``COCOeval`` matched at one overlap, at its highest limit of detections and for all areas.

    Args:
        evaluator: a ``COCOeval`` after ``evaluate``, with classes.
        iou: one of its thresholds.

    Returns:
        An entry for every image of the evaluation, in its order; None where that threshold was not evaluated.
    """
    params = evaluator.params
    at = np.flatnonzero(np.isclose(params.iouThrs, iou))
    if not at.size:
        return None
    images = len(params.imgIds)
    cells: dict[Any, list[tuple[int, dict[str, Any]]]] = {image: [] for image in params.imgIds}
    for k in range(len(params.catIds)):
        start = (k * len(params.areaRng) + list(params.areaRngLbl).index('all')) * images
        for cell in evaluator.evalImgs[start : start + images]:
            if cell is not None:
                cells[cell['image_id']].append((k, cell))
    return [_join(evaluator, image, of_image, int(at[0])) for image, of_image in cells.items()]


def _join(evaluator: Any, image: Any, cells: list[tuple[int, dict[str, Any]]], at: int) -> ImageMatches:
    """Put the classes of one image together."""
    detections: list[tuple[float, int, int, int]] = []
    truth: list[tuple[int, int]] = []
    for k, cell in cells:
        for score, own, other, ignored in zip(
            cell['dtScores'], cell['dtIds'], cell['dtMatches'][at], cell['dtIgnore'][at]
        ):
            if not ignored:
                # as pycocotools sorts: equal scores stay in the order of the predictions
                detections.append((-score, own, k, int(other)))
        truth += [(own, k) for own, ignored in zip(cell['gtIds'], cell['gtIgnore']) if not ignored]
    detections.sort()
    position = {own: i for i, (own, _) in enumerate(truth)}
    return ImageMatches(
        image_id=plain(image),
        scores=np.array([-score for score, _, _, _ in detections]),
        classes=np.array([k for _, _, k, _ in detections], dtype=int),
        # 0 stands for no match
        matched=np.array([position[other] if other else -1 for _, _, _, other in detections], dtype=int),
        truth_classes=np.array([k for _, k in truth], dtype=int),
        ious=_overlaps(evaluator, [own for _, own, _, _ in detections], [own for own, _ in truth]),
    )


def plain(number: Any) -> Any:
    """An id as the annotation file has it; np.unique has made numpy scalars of them."""
    return number.item() if isinstance(number, np.generic) else number


def _overlaps(evaluator: Any, detections: list[int], truth: list[int]) -> np.ndarray:
    if not detections or not truth:
        return np.zeros((len(detections), len(truth)))
    shapes = []
    for coco, ids in ((evaluator.cocoDt, detections), (evaluator.cocoGt, truth)):
        annotations = [coco.anns[i] for i in ids]
        masks = evaluator.params.iouType == 'segm'
        shapes.append([coco.annToRLE(a) if masks else a['bbox'] for a in annotations])
    return np.asarray(rle.iou(*shapes, [0] * len(truth)))


def best_score(images: Sequence[ImageMatches]) -> float:
    """The score at which F1 over all images and classes is highest; 0.3 where nothing was matched."""
    scores = np.concatenate([image.scores for image in images])
    right = np.concatenate([image.matched >= 0 for image in images])
    if not right.any():
        return USUAL_SCORE
    order = np.argsort(-scores, kind='stable')
    scores, right = scores[order], np.cumsum(right[order])
    objects = sum(len(image.truth_classes) for image in images)
    f1 = 2 * right / (np.arange(1, len(scores) + 1) + objects)
    # a threshold cannot part equal scores
    f1[:-1][scores[:-1] == scores[1:]] = 0
    return float(scores[f1.argmax()])


def f1_score(matches: int, missed: int, false: int) -> float | None:
    """F1 in percent; None where there was nothing to find and nothing was found."""
    total = 2 * matches + missed + false
    return 200 * matches / total if total else None


def object_confusion(images: Sequence[ImageMatches], classes: int, iou: float = 0.5) -> np.ndarray:
    """Count which class objects were taken for.

    A matched object counts on the diagonal. The detections that are left take, by falling score, the object of another
    class that they overlap most, if by the threshold and if nothing else found it. What then is left was found in the
    background (last row) or lost in it (last column).

    Args:
        images: without detections of low scores (:meth:`ImageMatches.above`).
        classes: their number K.
        iou: least overlap of a confusion.

    Returns:
        (K + 1, K + 1) int64, rows are the truth.
    """
    matrix = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    for image in images:
        free = ~image.found()
        for own, matched, overlaps in zip(image.classes, image.matched, image.ious):
            truth = classes
            if matched >= 0:
                truth = own
            elif free.any() and (overlaps := np.where(free, overlaps, 0)).max() >= iou:
                taken = overlaps.argmax()
                free[taken] = False
                truth = image.truth_classes[taken]
            matrix[truth, own] += 1
        np.add.at(matrix, (image.truth_classes[free], classes), 1)
    return matrix
