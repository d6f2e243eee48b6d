"""Values for each class of an evaluation, from what upstream's metrics counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Table:
    """Rows of values under named columns; a value that does not exist (the class never occurs) is None."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def records(self) -> list[dict[str, Any]]:
        """The rows as dicts from column to value."""
        return [dict(zip(self.columns, row)) for row in self.rows]


def count_pairs(
    prediction: torch.Tensor, label: torch.Tensor, num_classes: int, ignore_index: int
) -> tuple[np.ndarray, np.ndarray]:
    """Count the (truth, prediction) pairs of one image, sparsely.

    Args:
        prediction: (H, W) class indices.
        label: (H, W) class indices; pixels of ``ignore_index`` do not count, nor do values outside [0, num_classes).

    Returns:
        Indices ``truth * num_classes + prediction`` of the pairs that occur, and their int64 counts, both (P,).
    """
    prediction, label = prediction.long(), label.long()
    valid = (label != ignore_index) & (label >= 0) & (label < num_classes)
    valid &= (prediction >= 0) & (prediction < num_classes)
    counts = torch.bincount(label[valid] * num_classes + prediction[valid], minlength=num_classes**2)
    # an image shows few of the K * K pairs, and these lists travel between ranks
    present = counts.nonzero().flatten()
    return present.cpu().numpy(), counts[present].cpu().numpy()


def sum_pairs(pairs: list[tuple[np.ndarray, np.ndarray]], num_classes: int) -> np.ndarray:
    """Add up sparse pair counts of images to the (K, K) int64 confusion matrix, rows = truth."""
    matrix = np.zeros(num_classes**2, dtype=np.int64)
    for present, counts in pairs:
        matrix[present] += counts
    return matrix.reshape(num_classes, num_classes)


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
