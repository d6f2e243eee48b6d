"""Per-class results of upstream's metrics, taken from the live metric objects.

Upstream computes a score for every class, prints a table and returns the means. :func:`attach` listens to a metric
while it computes and keeps what the table was made of, so the numbers are upstream's own and nothing is evaluated
twice. Metrics are recognised by the name of a class among their bases: neither mmdet nor mmseg is imported here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.dist import collect_results, is_main_process
from mmengine.evaluator import BaseMetric

_ATTRIBUTE = '_mmseq_recorder'


@dataclass(frozen=True)
class PerClassTable:
    """One row for each class; a value that does not exist (the class never occurs) is None."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def records(self) -> list[dict[str, Any]]:
        """The rows as dicts from column to value."""
        return [dict(zip(self.columns, row)) for row in self.rows]


class Recorder:
    """What an attached metric computed in its latest ``evaluate``; filled on the main process only.

    Attributes:
        table: per-class values, or None before the first evaluation and for a metric that computed none.
        confusion: (K, K) int64 pixel counts, rows are the truth and columns the prediction; segmentation only.
    """

    def __init__(self, metric: BaseMetric) -> None:
        self.metric = metric
        self.table: PerClassTable | None = None
        self.confusion: np.ndarray | None = None
        self._wrapped: list[str] = []

    def detach(self) -> None:
        """Give the metric its own methods back; what was recorded stays."""
        for name in self._wrapped:
            delattr(self.metric, name)
        self._wrapped.clear()
        vars(self.metric).pop(_ATTRIBUTE, None)

    def _wrap(self, name: str, wrapper: Callable[..., Any]) -> None:
        setattr(self.metric, name, partial(wrapper, getattr(self.metric, name)))
        self._wrapped.append(name)


class IoURecorder(Recorder):
    """Listens to mmseg's ``IoUMetric``.

    The table holds upstream's per-class values in percent (IoU and Acc; Dice, Fscore, Precision, Recall if the metric
    was asked for them), then ``label_pixels``, ``prediction_pixels`` and ``intersection_pixels``, exact counts over
    the pixels whose label is not ignored. Samples that a distributed sampler repeats to fill up the last batch are
    left out, by the rule that upstream's own collection follows.
    """

    def __init__(self, metric: BaseMetric) -> None:
        super().__init__(metric)
        self._values: dict[str, np.ndarray] | None = None
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []
        self._wrap('intersect_and_union', self._intersect_and_union)
        self._wrap('total_area_to_metrics', self._total_area_to_metrics)
        self._wrap('evaluate', self._evaluate)

    def _intersect_and_union(
        self, original: Callable, prediction: torch.Tensor, label: torch.Tensor, num_classes: int, ignore_index: int
    ) -> tuple:
        areas = original(prediction, label, num_classes, ignore_index)
        self._pairs.append(count_pairs(prediction, label, num_classes, ignore_index))
        return areas

    def _total_area_to_metrics(self, original: Callable, *args: Any, **kwargs: Any) -> dict[str, np.ndarray]:
        values = original(*args, **kwargs)
        # a copy of the dict, since the caller removes keys from it
        self._values = dict(values)
        return values

    def _evaluate(self, original: Callable, size: int) -> dict:
        self.table = self.confusion = self._values = None
        metrics = original(size)
        # every rank takes part in this, in the same order as in the metric's own collection
        pairs = collect_results(self._pairs, size, self.metric.collect_device, **self._collect_dir())
        self._pairs.clear()
        if is_main_process() and self._values is not None:
            classes = self.metric.dataset_meta['classes']
            if pairs:
                self.confusion = sum_pairs(pairs, len(classes))
            self.table = _segmentation_table(classes, self._values, self.confusion)
        return metrics

    def _collect_dir(self) -> dict[str, str | None]:
        return {'tmpdir': self.metric.collect_dir} if self.metric.collect_device == 'cpu' else {}


class CocoRecorder(Recorder):
    """Listens to mmdet's ``CocoMetric``.

    For each of bbox and segm the table holds AP, AP50, AP75, AP_s, AP_m, AP_l as fractions, and before them
    ``instances``, the number of true objects that are not crowds. The mean of a column over the classes that have a
    value is the figure that pycocotools summarises, since the same detection limits are read: 100 for AP (where the
    metric counts at 100), the third limit for the others.
    """

    def __init__(self, metric: BaseMetric) -> None:
        super().__init__(metric)
        self._evaluator: Any = None
        self._columns: dict[str, dict[int, list]] = {}
        self._wrap('compute_metrics', self._compute_metrics)

    def _compute_metrics(self, original: Callable, results: list) -> dict:
        self.table, self._columns, self._evaluator = None, {}, None
        base = _base_named(type(self.metric), 'CocoMetric')
        # upstream keeps its COCOeval objects in local variables, so their constructors are watched for the moment
        with _watched(base.compute_metrics.__globals__, ('COCOeval', 'COCOevalMP'), self._created):
            metrics = original(results)
        self._harvest()
        if self._columns:
            self.table = self._assemble()
        return metrics

    def _created(self, evaluator: Any) -> None:
        # the previous evaluator is finished: take its numbers and let go of its per-image results
        self._harvest()
        self._evaluator = evaluator

    def _harvest(self) -> None:
        evaluator, self._evaluator = self._evaluator, None
        # class-agnostic evaluation (proposals) has no classes to report
        if evaluator is None or not evaluator.eval or not evaluator.params.useCats:
            return
        params, truth = evaluator.params, evaluator.cocoGt
        # pycocotools sorts the category ids, so its own list is the one that belongs to the arrays
        categories = [int(category) for category in params.catIds]
        counts = dict.fromkeys(categories, 0)
        images = set(params.imgIds)
        for annotation in truth.dataset.get('annotations', ()):
            if annotation['category_id'] in counts and annotation['image_id'] in images:
                counts[annotation['category_id']] += not annotation.get('iscrowd', 0)
        self._columns.setdefault('class', {c: truth.cats[c]['name'] for c in categories})
        self._columns.setdefault('category_id', {c: c for c in categories})
        self._columns.setdefault('instances', counts)
        for name, values in average_precisions(evaluator.eval['precision'], params).items():
            self._columns[f'{params.iouType}_{name}'] = dict(zip(categories, values))

    def _assemble(self) -> PerClassTable:
        rows = [tuple(column.get(c) for column in self._columns.values()) for c in self._columns['category_id']]
        return PerClassTable(tuple(self._columns), tuple(rows))


_RECORDERS: dict[str, type[Recorder]] = {'IoUMetric': IoURecorder, 'CocoMetric': CocoRecorder}


def attach(metric: BaseMetric) -> Recorder | None:
    """Listen to a metric from now on; attaching again returns the recorder that already listens.

    Args:
        metric: a metric object of an evaluator. In distributed evaluation every rank has to attach.

    Returns:
        The recorder, or None for a metric of which no per-class results are known.
    """
    if (recorder := vars(metric).get(_ATTRIBUTE)) is not None:
        return recorder
    for base in type(metric).__mro__:
        if base.__name__ in _RECORDERS:
            recorder = _RECORDERS[base.__name__](metric)
            setattr(metric, _ATTRIBUTE, recorder)
            return recorder
    return None


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


def _segmentation_table(
    classes: tuple[str, ...], values: dict[str, np.ndarray], confusion: np.ndarray | None
) -> PerClassTable:
    columns: dict[str, list] = {'class': list(classes)}
    for name, per_class in values.items():
        # aAcc is one number for the whole data set
        if np.ndim(per_class) == 1:
            columns[name] = [float(v) * 100 if np.isfinite(v) else None for v in per_class]
    if confusion is not None:
        columns['label_pixels'] = confusion.sum(axis=1).tolist()
        columns['prediction_pixels'] = confusion.sum(axis=0).tolist()
        columns['intersection_pixels'] = confusion.diagonal().tolist()
    return PerClassTable(tuple(columns), tuple(zip(*columns.values())))


def _base_named(cls: type, name: str) -> type:
    return next(base for base in cls.__mro__ if base.__name__ == name)


@contextmanager
def _watched(namespace: dict, names: tuple[str, ...], created: Callable[[Any], None]) -> Iterator[None]:
    """Report every object that the named classes of a module build, for the length of the block."""
    originals = {name: namespace[name] for name in names if name in namespace}

    def build(cls: type, *args: Any, **kwargs: Any) -> Any:
        # not a subclass: COCOevalMP pickles itself to its workers, which only an importable class survives
        instance = cls(*args, **kwargs)
        created(instance)
        return instance

    namespace.update({name: partial(build, cls) for name, cls in originals.items()})
    try:
        yield
    finally:
        namespace.update(originals)
