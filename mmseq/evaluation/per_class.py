"""Values for each class of an evaluation, from what upstream's metrics counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

# Counters that are no matter, however few pixels there are.
FEW = 2**16


@dataclass(frozen=True)
class Table:
    """Rows of values under named columns; a value that does not exist (the class never occurs) is None."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def records(self) -> list[dict[str, Any]]:
        """The rows as dicts from column to value."""
        return [dict(zip(self.columns, row)) for row in self.rows]


@dataclass(frozen=True)
class Pairs:
    """The P pairs of (truth, prediction) that occur in an image; ignored pixels are in none.

    Attributes:
        truth: (P,) class indices; the number of classes stands for all values that are none.
        prediction: (P,) the same.
        counts: (P,) int64 pixels.
    """

    truth: np.ndarray
    prediction: np.ndarray
    counts: np.ndarray

    def within(self, num_classes: int) -> 'Pairs':
        """Those of two classes."""
        kept = (self.truth < num_classes) & (self.prediction < num_classes)
        return Pairs(self.truth[kept], self.prediction[kept], self.counts[kept])


def count_pairs(prediction: torch.Tensor, label: torch.Tensor, num_classes: int, ignore_index: int) -> Pairs:
    """Count the pairs of one image in one pass.

    Args:
        prediction: class indices; other values than those from 0 to ``num_classes - 1`` are none.
        label: of the same shape; pixels of ``ignore_index`` do not count.
        num_classes: their number.
        ignore_index: see ``label``.
    """
    # Two more places on either side for what is no class, and a row for what is ignored.
    side = num_classes + 2
    rows = label.long().clamp(-1, num_classes).masked_fill(label == ignore_index, num_classes + 1)
    index = (rows * side + prediction.long().clamp(-1, num_classes)).flatten() + (side + 1)
    if side * (side + 1) <= max(index.numel(), FEW):
        counts = torch.bincount(index, minlength=side * (side + 1))
        present = counts.nonzero().flatten()
        counts = counts[present]
    else:
        present, counts = torch.unique(index, return_counts=True)
    truth, predicted = (part - 1 for part in np.divmod(present.cpu().numpy(), side))
    kept = truth <= num_classes
    # -1 becomes the number of classes.
    truth, predicted = (part[kept] % (num_classes + 1) for part in (truth, predicted))
    return Pairs(truth, predicted, counts.cpu().numpy()[kept])


def sum_pairs(pairs: Sequence[Pairs], num_classes: int) -> np.ndarray:
    """Add up pairs of two classes, of several images, to the (K, K) int64 confusion matrix, rows = truth."""
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    for own in pairs:
        matrix[own.truth, own.prediction] += own.counts
    return matrix


def average_precisions(precision: np.ndarray, params: Any) -> dict[str, list[float | None]]:
    """Per-class AP, AP50, AP75, AP_s, AP_m, AP_l from what pycocotools accumulated.

    Args:
        precision: (T, R, K, A, M) interpolated precision at T IoU thresholds, R recalls, K classes, A areas and M
            detection limits; -1 where a class has no true object.
        params: the ``Params`` of the evaluation.

    Returns:
        For each name K fractions, None where pycocotools has no value or the threshold was not evaluated.
    """
    last = min(2, len(params.maxDets) - 1)
    at_100 = params.maxDets.index(100) if 100 in params.maxDets else last
    thresholds = np.asarray(params.iouThrs)
    every = np.ones(len(thresholds), dtype=bool)
    cells = {
        'AP': (every, 'all', at_100),
        'AP50': (np.isclose(thresholds, 0.5), 'all', last),
        'AP75': (np.isclose(thresholds, 0.75), 'all', last),
        'AP_s': (every, 'small', last),
        'AP_m': (every, 'medium', last),
        'AP_l': (every, 'large', last),
    }
    areas = list(params.areaRngLbl)
    return {
        name: [_mean_of_present(precision[which, :, k, areas.index(area), limit]) for k in range(precision.shape[2])]
        for name, (which, area, limit) in cells.items()
    }


def _mean_of_present(values: np.ndarray) -> float | None:
    present = values[values > -1]
    return float(present.mean()) if present.size else None


def segmentation_table(classes: tuple[str, ...], values: dict[str, np.ndarray], confusion: np.ndarray | None) -> Table:
    """A row for each class of a segmentation, in percent, and pixel counts from the (K, K) confusion matrix."""
    columns: dict[str, list[Any]] = {'class': list(classes)}
    for name, per_class in values.items():
        # aAcc is one number for the whole data set
        if np.ndim(per_class) == 1:
            columns[name] = [float(v) * 100 if np.isfinite(v) else None for v in per_class]
    if confusion is not None:
        columns['label_pixels'] = confusion.sum(axis=1).tolist()
        columns['prediction_pixels'] = confusion.sum(axis=0).tolist()
        columns['intersection_pixels'] = confusion.diagonal().tolist()
    return Table(tuple(columns), tuple(zip(*columns.values())))


def confusion_table(classes: tuple[str, ...], counts: np.ndarray) -> Table:
    """A (K, K) confusion matrix under the names of its classes."""
    rows = tuple((name, *row) for name, row in zip(classes, counts.tolist()))
    return Table(('truth \\ prediction', *classes), rows)


def lvis_table(evaluators: Sequence[Any]) -> Table | None:
    """A row for each class from finished ``LVISEval`` objects, one of each kind; None without any."""
    columns: dict[str, list[Any]] = {}
    for one in evaluators:
        # LVIS sorts the ids of its categories.
        params, truth = one.params, one.lvis_gt
        categories = [truth.cats[number] for number in params.cat_ids]
        images = set(params.img_ids)
        counts = Counter(row['category_id'] for row in truth.anns.values() if row['image_id'] in images)
        columns['class'] = [category['name'] for category in categories]
        columns['category_id'] = [category['id'] for category in categories]
        columns['frequency'] = [category['frequency'] for category in categories]
        columns['instances'] = [counts[category['id']] for category in categories]
        for name, values in lvis_precisions(one.eval['precision'], params).items():
            columns[f'{params.iou_type}_{name}'] = values
    return Table(tuple(columns), tuple(zip(*columns.values()))) if columns else None


def lvis_precisions(precision: np.ndarray, params: Any) -> dict[str, list[float | None]]:
    """As :func:`average_precisions`, from (T, R, K, A): LVIS has one limit of detections."""
    thresholds, areas = np.asarray(params.iou_thrs), list(params.area_rng_lbl)
    every = np.ones(len(thresholds), dtype=bool)
    cells = {
        'AP': (every, 'all'),
        'AP50': (np.isclose(thresholds, 0.5), 'all'),
        'AP75': (np.isclose(thresholds, 0.75), 'all'),
        'AP_s': (every, 'small'),
        'AP_m': (every, 'medium'),
        'AP_l': (every, 'large'),
    }
    return {
        name: [_mean_of_present(precision[which, :, k, areas.index(area)]) for k in range(precision.shape[2])]
        for name, (which, area) in cells.items()
    }


def voc_table(classes: tuple[str, ...], thresholds: Sequence[float], found: Sequence[list[dict[str, Any]]]) -> Table:
    """A row for each class from what mmdet's ``eval_map`` gives at each overlap: APs are fractions."""
    columns: dict[str, list[Any]] = {'class': list(classes), 'instances': [int(one['num_gts']) for one in found[0]]}
    for threshold, rows in zip(thresholds, found):
        values = [float(one['ap']) if one['num_gts'] else None for one in rows]
        columns[f'bbox_AP{round(threshold * 100):02d}'] = values
    return Table(tuple(columns), tuple(zip(*columns.values())))
