"""Detections and true objects of all images, as pycocotools matched them, and the counts from that."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from pycocotools import mask as rle

from mmseq.evaluation.fast_coco import FastCOCOeval

# Of predictions none of which is right, since then no score is better than another.
USUAL_SCORE = 0.3
# Overlaps below say nothing about a detection: it is in the background.
LEAST_OVERLAP = 0.1


@dataclass(frozen=True)
class Matches:
    """I images with D detections and G true objects in all.

    Detections are in the order of the images, and by falling score within each; true objects are in the order of the
    images and of their classes. What the evaluation ignores is left out: crowds, and detections that lie in them.

    Attributes:
        image_ids: the data set's ids of the images.
        images: (D,) index of the image of each detection.
        scores: (D,) of the detections.
        classes: (D,) indices of their classes among the evaluation's sorted category ids.
        matched: (D,) index of the true object that a detection was matched to, or -1.
        truth_images: (G,) index of the image of each true object.
        truth_classes: (G,) classes of the true objects.
        pairs: (P, 2) a detection and a true object that overlap by 0.1 at least, over all classes, in ascending order.
        ious: (P,) their overlaps.
    """

    image_ids: list[Any]
    images: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    matched: np.ndarray
    truth_images: np.ndarray
    truth_classes: np.ndarray
    pairs: np.ndarray
    ious: np.ndarray

    def found(self) -> np.ndarray:
        """(G,) whether a detection was matched to the true object."""
        found = np.zeros(len(self.truth_classes), dtype=bool)
        found[self.matched[self.matched >= 0]] = True
        return found

    def above(self, score: float) -> 'Matches':
        """The images without detections below a score; those that stay are matched as before."""
        stay = self.scores >= score
        kept = stay[self.pairs[:, 0]]
        pairs = self.pairs[kept]
        return replace(
            self,
            images=self.images[stay],
            scores=self.scores[stay],
            classes=self.classes[stay],
            matched=self.matched[stay],
            pairs=np.stack([np.cumsum(stay)[pairs[:, 0]] - 1, pairs[:, 1]], axis=1),
            ious=self.ious[kept],
        )


@dataclass(frozen=True)
class _Objects:
    """What an evaluator kept of annotations, ignored ones included.

    Attributes:
        images: (N,) index among the evaluation's images.
        classes: (N,) index among its categories.
        ids: (N,) of the annotations.
        ignored: (N,) whether they do not count.
    """

    images: np.ndarray
    classes: np.ndarray
    ids: np.ndarray
    ignored: np.ndarray

    def order(self) -> np.ndarray:
        """(N,) by image, then by class."""
        return np.lexsort((self.ids, self.classes, self.images))


@dataclass(frozen=True)
class _Detections(_Objects):
    """Detections.

    Attributes:
        scores: (N,) of them.
        others: (N,) ids of the true objects that they were matched to; what they are where there is none, see `found`.
        found: (N,) whether they were matched.
    """

    scores: np.ndarray
    others: np.ndarray
    found: np.ndarray

    def order(self) -> np.ndarray:
        """(N,) by image, then by falling score."""
        # as pycocotools sorts: equal scores stay in the order of the predictions
        return np.lexsort((self.ids, -self.scores, self.images))


_Rows = TypeVar('_Rows', bound=_Objects)
# those of _Objects
_Fields = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _counted(rows: _Rows) -> _Rows:
    """What is not ignored, in order."""
    order = rows.order()
    order = order[~rows.ignored[order]]
    return replace(rows, **{name: values[order] for name, values in vars(rows).items()})


def read_matches(evaluator: Any, iou: float = 0.5) -> Matches | None:
    """What a finished ``COCOeval`` matched at one overlap, at its highest limit of detections and for all areas.

    Args:
        evaluator: a ``COCOeval`` after ``evaluate``, with classes.
        iou: one of its thresholds.

    Returns:
        The matches in all images of the evaluation; None where that threshold was not evaluated.
    """
    params = evaluator.params
    threshold = np.flatnonzero(np.isclose(params.iouThrs, iou))
    if not threshold.size:
        return None
    fast = isinstance(evaluator, FastCOCOeval)
    found, truth = _from_columns(evaluator, iou) if fast else _from_cells(evaluator, int(threshold[0]))
    found, truth = _counted(found), _counted(truth)
    # an id may be there twice, in two images
    position = {key: i for i, key in enumerate(zip(truth.images.tolist(), truth.ids.tolist()))}
    at = np.flatnonzero(found.found)
    matched = np.full(len(found.found), -1)
    matched[at] = [position[key] for key in zip(found.images[at].tolist(), found.others[at].tolist())]
    pairs, ious = _overlaps(evaluator, found, truth)
    return Matches(
        image_ids=[plain(image) for image in params.imgIds],
        images=found.images,
        scores=found.scores,
        classes=found.classes,
        matched=matched,
        truth_images=truth.images,
        truth_classes=truth.classes,
        pairs=pairs,
        ious=ious,
    )


def _from_columns(evaluator: FastCOCOeval, iou: float) -> tuple[_Detections, _Objects]:
    """Detections and true objects of a fast evaluation."""
    detections, truth = evaluator.matches(iou)
    params = evaluator.params

    def columns(table: dict[str, np.ndarray], own: str) -> _Fields:
        images = np.searchsorted(params.imgIds, table['image_id'])
        classes = np.searchsorted(params.catIds, table['category_id'])
        return images, classes, table[own], table['ignore']

    others = detections['gt_id']
    found = _Detections(*columns(detections, 'dt_id'), detections['score'], others, others >= 0)
    return found, _Objects(*columns(truth, 'gt_id'))


def _from_cells(evaluator: Any, at: int) -> tuple[_Detections, _Objects]:
    """Detections and true objects of pycocotools' own evaluation: a cell for each class and image."""
    params = evaluator.params
    images = len(params.imgIds)
    area = list(params.areaRngLbl).index('all')
    places, cells = [], []
    for k in range(len(params.catIds)):
        start = (k * len(params.areaRng) + area) * images
        for i, cell in enumerate(evaluator.evalImgs[start : start + images]):
            if cell is not None:
                places.append((i, k))
                cells.append(cell)

    def columns(own: str, ignored: list[Any]) -> _Fields:
        where = np.repeat(np.reshape(places, (-1, 2)).astype(int), [len(cell[own]) for cell in cells], axis=0)
        return where[:, 0], where[:, 1], _joined(cell[own] for cell in cells), _joined(ignored).astype(bool)

    scores = _joined(cell['dtScores'] for cell in cells)
    others = _joined(cell['dtMatches'][at] for cell in cells)
    # 0 stands for no match
    found = _Detections(*columns('dtIds', [cell['dtIgnore'][at] for cell in cells]), scores, others, others != 0)
    return found, _Objects(*columns('gtIds', [cell['gtIgnore'] for cell in cells]))


def _joined(parts: Iterable[Any]) -> np.ndarray:
    """One array of many; empty ones are of no type that counts."""
    return np.concatenate([part for part in parts if len(part)] or [np.zeros(0)])


def plain(number: Any) -> Any:
    """An id as the annotation file has it; np.unique has made numpy scalars of them."""
    return number.item() if isinstance(number, np.generic) else number


def _overlaps(evaluator: Any, found: _Detections, truth: _Objects) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (P, 2) of detections and true objects of the same image that overlap, and how much (P,)."""
    of_found = _shapes(evaluator, evaluator.cocoDt, found.ids)
    of_truth = _shapes(evaluator, evaluator.cocoGt, truth.ids)
    overlap = evaluator.overlap() if isinstance(evaluator, FastCOCOeval) else rle.iou
    borders = np.arange(len(evaluator.params.imgIds) + 1)
    starts = [np.searchsorted(side.images, borders).tolist() for side in (found, truth)]
    pairs, ious = [np.zeros((0, 2), int)], [np.zeros(0)]
    for a, b, c, d in zip(starts[0], starts[0][1:], starts[1], starts[1][1:]):
        if a < b and c < d:
            overlaps = np.asarray(overlap(of_found[a:b], of_truth[c:d], [0] * (d - c)))
            at = np.nonzero(overlaps >= LEAST_OVERLAP)
            pairs.append(np.stack(at, axis=1) + (a, c))
            ious.append(overlaps[at])
    return np.concatenate(pairs), np.concatenate(ious)


def _shapes(evaluator: Any, coco: Any, ids: np.ndarray) -> Any:
    """Boxes (N, 4), or a list of run lengths."""
    annotations = list(map(coco.anns.__getitem__, ids.tolist()))
    if evaluator.params.iouType == 'segm':
        return [_run_lengths(coco, annotation) for annotation in annotations]
    sides = chain.from_iterable(annotation['bbox'] for annotation in annotations)
    return np.fromiter(sides, float, 4 * len(annotations)).reshape(-1, 4)


def _run_lengths(coco: Any, annotation: dict[str, Any]) -> dict[str, Any]:
    """Of an annotation, which keeps them, as pycocotools' own evaluation does: the next validation needs them, too."""
    mask = annotation['segmentation']
    if type(mask) is not dict or type(mask['counts']) is list:
        annotation['segmentation'] = mask = coco.annToRLE(annotation)
    found: dict[str, Any] = mask
    return found


def best_score(matches: Matches) -> float:
    """The score at which F1 over all images and classes is highest; 0.3 where nothing was matched."""
    right = matches.matched >= 0
    if not right.any():
        return USUAL_SCORE
    order = np.argsort(-matches.scores, kind='stable')
    scores, right = matches.scores[order], np.cumsum(right[order])
    f1 = 2 * right / (np.arange(1, len(scores) + 1) + len(matches.truth_classes))
    # a threshold cannot part equal scores
    f1[:-1][scores[:-1] == scores[1:]] = 0
    return float(scores[f1.argmax()])


def f1_score(matches: int, missed: int, false: int) -> float | None:
    """F1 in percent; None where there was nothing to find and nothing was found."""
    total = 2 * matches + missed + false
    return 200 * matches / total if total else None


def object_confusion(matches: Matches, classes: int, iou: float = 0.5) -> np.ndarray:
    """Count which class objects were taken for.

    A matched object counts on the diagonal. The detections that are left take, by falling score, the object of another
    class that they overlap most, if by the threshold and if nothing else found it. What then is left was found in the
    background (last row) or lost in it (last column).

    Args:
        matches: without detections of low scores (:meth:`Matches.above`).
        classes: their number K.
        iou: least overlap of a confusion.

    Returns:
        (K + 1, K + 1) int64, rows are the truth.
    """
    matrix = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    free = ~matches.found()
    taken = np.where(matches.matched >= 0, matches.matched, -1)
    left, wanted = matches.pairs.T
    candidates = np.flatnonzero((matches.ious >= iou) & (taken[left] < 0) & free[wanted])
    # a detection's largest overlap first; of equal ones the first object
    for i in candidates[np.lexsort((-matches.ious[candidates], left[candidates]))].tolist():
        if taken[left[i]] < 0 and free[wanted[i]]:
            taken[left[i]], free[wanted[i]] = wanted[i], False
    # the class of the object at -1 is that of the background
    np.add.at(matrix, (np.append(matches.truth_classes, classes)[taken], matches.classes), 1)
    np.add.at(matrix, (matches.truth_classes[free], classes), 1)
    return matrix
