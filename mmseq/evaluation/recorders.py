"""What upstream's metrics know about classes and images, taken from the live metric objects.

Upstream computes a score for every class, prints a table and returns the means. :func:`attach` listens to a metric
while it computes and keeps what the table was made of, so the numbers are the metric's own and nothing is evaluated
twice; the figures per image come from the same counts and matches. Metrics are recognised by the name of a class
among their bases: neither mmdet nor mmseg is imported here.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.dist import collect_results, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmseq.errors import first_line
from mmseq.evaluation.fast_coco import built
from mmseq.evaluation.matching import Matches, best_score, object_confusion, plain, read_matches
from mmseq.evaluation.per_class import (
    Pairs,
    Table,
    average_precisions,
    confusion_table,
    count_pairs,
    lvis_table,
    segmentation_table,
    sum_pairs,
    voc_table,
)
from mmseq.evaluation.per_image import DETECTION_COLUMNS, SEGMENTATION_COLUMNS, detection_rows, segmentation_row
from mmseq.evaluation.tide import BACKGROUND, FOREGROUND, analyse

_ATTRIBUTE = '_mmseq_recorder'
# last row and column of a detector's confusions
BACKGROUND_NAME = 'background'


class Recorder:
    """What an attached metric computed in its latest ``evaluate``; filled on the main process only.

    A recorder never ends an evaluation, whatever a metric of the user's own or unusual data make it meet: it says once
    what it leaves out.

    Attributes:
        table: per-class values, or None before the first evaluation and for a metric that computed none.
        images: a row for each image, in the order of the data set, or None.
        confusion: counts as a table, rows are the truth and columns after the first the prediction, or None.
        errors: detection only: kinds of errors for boxes and masks (:func:`mmseq.evaluation.tide.analyse`), or None.
    """

    def __init__(self, metric: BaseMetric) -> None:
        self.metric = metric
        self._wrapped: list[str] = []
        self._failed = False
        self._forget()

    def detach(self) -> None:
        """Give the metric its own methods back; the records stay."""
        for name in self._wrapped:
            delattr(self.metric, name)
        self._wrapped.clear()
        vars(self.metric).pop(_ATTRIBUTE, None)

    def _forget(self) -> None:
        self.table: Table | None = None
        self.images: Table | None = None
        self.confusion: Table | None = None
        self.errors: dict[str, dict[str, Any]] | None = None

    @contextmanager
    def _never_ending(self) -> Iterator[None]:
        """Go on if recording fails; the metric's own methods are called outside of this."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 whatever it is, it is no reason to lose an evaluation
            if not self._failed:
                self._failed = True
                print_log(
                    f'{type(self.metric).__name__}: figures per class and image are left out, those of the metric are '
                    f'unaffected: {type(error).__name__}: {first_line(error)}',
                    'current',
                    logging.WARNING,
                )

    def _leave_out_failed(self) -> None:
        """At the end of an evaluation, drop everything if anything failed: the rest may be incomplete."""
        if self._failed:
            self._forget()
        self._failed = False

    def _collect(self, parts: list[Any], size: int) -> list[Any] | None:
        """What all ranks have for their images, in the order of the data set, on the main process.

        Every rank takes part in this, in the same order as in the metric's own collection, which also leaves out what
        a distributed sampler repeats to fill up the last batch.
        """
        folder = {'tmpdir': self.metric.collect_dir} if self.metric.collect_device == 'cpu' else {}
        return collect_results(parts, size, self.metric.collect_device, **folder)

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
        self._pairs: list[Pairs | None] = []
        self._paths: list[str | None] = []
        self._wrap('process', self._process)
        # Ours counts pairs itself.
        if hasattr(metric, 'count_pairs'):
            self._wrap('count_pairs', self._count_pairs)
        else:
            self._wrap('intersect_and_union', self._intersect_and_union)
        self._wrap('total_area_to_metrics', self._total_area_to_metrics)
        self._wrap('evaluate', self._evaluate)

    def _process(self, original: Callable[..., Any], data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        original(data_batch, data_samples)
        self._paths += [path_of(sample) for sample in data_samples]

    def _count_pairs(self, original: Callable[..., Pairs], *args: Any) -> Pairs:
        pairs = original(*args)
        self._pairs.append(pairs)
        return pairs

    def _intersect_and_union(
        self,
        original: Callable[..., Any],
        prediction: torch.Tensor,
        label: torch.Tensor,
        num_classes: int,
        ignore_index: int,
    ) -> tuple[Any, ...]:
        areas = original(prediction, label, num_classes, ignore_index)
        pairs = None
        with self._never_ending():
            pairs = count_pairs(prediction, label, num_classes, ignore_index)
        self._pairs.append(pairs)
        return areas

    def _total_area_to_metrics(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, np.ndarray]:
        values = original(*args, **kwargs)
        # a copy of the dict, since the caller removes keys from it
        self._values = dict(values)
        return values

    def _evaluate(self, original: Callable[..., Any], size: int) -> dict[str, Any]:
        self._forget()
        self._values = None
        metrics = original(size)
        # without truth there are paths and no pairs
        found = self._collect(list(zip(self._paths, self._pairs)), size)
        self._paths.clear()
        self._pairs.clear()
        if is_main_process() and self._values is not None:
            with self._never_ending():
                self._describe(found, self._values)
        self._leave_out_failed()
        return metrics

    def _describe(self, found: list[tuple[str | None, Pairs]] | None, values: dict[str, np.ndarray]) -> None:
        """The tables, from the paths and pairs of all images, and the figures by class."""
        classes = tuple(self.metric.dataset_meta['classes'])
        counts = None
        if found:
            within = [(path, pairs.within(len(classes))) for path, pairs in found]
            counts = sum_pairs([pairs for _, pairs in within], len(classes))
            self.confusion = confusion_table(classes, counts)
            rows = tuple(segmentation_row(path, pairs, classes) for path, pairs in within)
            self.images = Table(SEGMENTATION_COLUMNS, rows)
        self.table = segmentation_table(classes, values, counts)


class CocoRecorder(Recorder):
    """Listens to mmdet's ``CocoMetric``.

    For each of bbox and segm the table holds AP, AP50, AP75, AP_s, AP_m, AP_l as fractions, and before them
    ``instances``, the number of true objects that are not crowds. The mean of a column over the classes that have a
    value is the figure that pycocotools summarises, since the same detection limits are read: 100 for AP (where the
    metric counts at 100), the third limit for the others.

    Images and confusions are those of the masks where masks are evaluated, else of the boxes, at the score at which F1
    over all images is highest, which stands in ``errors``.
    """

    def __init__(self, metric: BaseMetric) -> None:
        super().__init__(metric)
        self._evaluator: Any = None
        self._columns: dict[str, dict[int, Any]] = {}
        self._matches: dict[str, Matches] = {}
        self._paths: list[str | None] = []
        self._ids: list[Any] = []
        self._wrap('process', self._process)
        self._wrap('compute_metrics', self._compute_metrics)
        self._wrap('evaluate', self._evaluate)

    def _process(self, original: Callable[..., Any], data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        original(data_batch, data_samples)
        self._paths += [path_of(sample) for sample in data_samples]

    def _evaluate(self, original: Callable[..., Any], size: int) -> dict[str, Any]:
        self._forget()
        metrics = original(size)
        paths = self._collect(self._paths, size)
        self._paths.clear()
        # Of the main process alone.
        if paths is not None and self._matches:
            with self._never_ending():
                self._describe(dict(zip(self._ids, paths)))
        self._matches, self._ids = {}, []
        self._leave_out_failed()
        return metrics

    def _describe(self, paths: dict[Any, str | None]) -> None:
        """Images, confusions and kinds of errors from the matches; ``paths`` by image id, in their order."""
        classes = tuple(self._columns['class'].values())
        limits = dict(iou=FOREGROUND, background_iou=BACKGROUND)
        self.errors = {
            kind: analyse(matches, len(classes)) | limits | dict(score_threshold=best_score(matches))
            for kind, matches in self._matches.items()
        }
        kind = 'segm' if 'segm' in self._matches else next(iter(self._matches))
        shown = self._matches[kind].above(self.errors[kind]['score_threshold'])
        rows = detection_rows([paths.get(image) for image in shown.image_ids], shown)
        of_image = dict(zip(shown.image_ids, rows))
        self.images = Table(DETECTION_COLUMNS, tuple(of_image[image] for image in paths if image in of_image))
        counts = object_confusion(shown, len(classes))
        self.confusion = confusion_table((*classes, BACKGROUND_NAME), counts)

    def _compute_metrics(self, original: Callable[..., Any], results: list[Any]) -> dict[str, Any]:
        self.table, self._columns, self._evaluator, self._matches = None, {}, None, {}
        with self._never_ending():
            self._ids = [prediction['img_id'] for _, prediction in results]
        base: Any = _base_named(type(self.metric), 'CocoMetric')
        # upstream keeps its COCOeval objects in local variables, so their constructors are watched for the moment
        with built(base.compute_metrics.__globals__, ('COCOeval', 'COCOevalMP'), self._created):
            metrics = original(results)
        with self._never_ending():
            self._harvest()
            if self._columns:
                self.table = self._assemble()
        return metrics

    def _created(self, evaluator: Any) -> None:
        # the previous evaluator is finished: take its numbers and release its per-image results
        with self._never_ending():
            self._harvest()
        self._evaluator = evaluator

    def _harvest(self) -> None:
        evaluator, self._evaluator = self._evaluator, None
        # class-agnostic evaluation (proposals) has no classes to report
        if evaluator is None or not evaluator.eval or not evaluator.params.useCats:
            return
        params, truth = evaluator.params, evaluator.cocoGt
        # pycocotools sorts the category ids, so its own list is the one that belongs to the arrays
        categories = [plain(category) for category in params.catIds]
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
        if (matches := read_matches(evaluator, FOREGROUND)) is not None:
            self._matches[params.iouType] = matches

    def _assemble(self) -> Table:
        rows = [tuple(column.get(c) for column in self._columns.values()) for c in self._columns['category_id']]
        return Table(tuple(self._columns), tuple(rows))


class LvisRecorder(Recorder):
    """Listens to mmdet's ``LVISMetric``.

    For each of bbox and segm the table holds AP, AP50, AP75, AP_s, AP_m, AP_l as fractions, over at most 300 detections
    an image; before them ``frequency`` (r rare, c common, f frequent) and ``instances``, the number of true objects.
    Classes without a true object have no value.
    """

    def __init__(self, metric: BaseMetric) -> None:
        super().__init__(metric)
        self._evaluators: list[Any] = []
        self._wrap('compute_metrics', self._compute_metrics)

    def _compute_metrics(self, original: Callable[..., Any], results: list[Any]) -> dict[str, Any]:
        self._forget()
        base: Any = _base_named(type(self.metric), 'LVISMetric')
        with built(base.compute_metrics.__globals__, ('LVISEval',), self._evaluators.append):
            metrics = original(results)
        with self._never_ending():
            self.table = lvis_table([one for one in self._evaluators if one.eval and one.params.use_cats])
        self._evaluators.clear()
        self._leave_out_failed()
        return metrics


class VocRecorder(Recorder):
    """Listens to mmdet's ``VOCMetric``.

    The table holds for each class the number of true objects that are not difficult, and its AP as a fraction at each
    overlap. Classes without a true object have no value; upstream's mean leaves them out, too.
    """

    def __init__(self, metric: BaseMetric) -> None:
        super().__init__(metric)
        self._found: list[tuple[float, list[dict[str, Any]]]] = []
        self._wrap('compute_metrics', self._compute_metrics)

    def _compute_metrics(self, original: Callable[..., Any], results: list[Any]) -> dict[str, Any]:
        self._forget()
        base: Any = _base_named(type(self.metric), 'VOCMetric')
        # Upstream drops what its function found of the classes, so the function is watched.
        with built(base.compute_metrics.__globals__, ('eval_map',), self._found.append):
            metrics = original(results)
        if self._found:
            with self._never_ending():
                classes, found = tuple(self.metric.dataset_meta['classes']), [rows for _, rows in self._found]
                self.table = voc_table(classes, self.metric.iou_thrs, found)
        self._found.clear()
        self._leave_out_failed()
        return metrics


_RECORDERS: dict[str, type[Recorder]] = {
    'IoUMetric': IoURecorder,
    'LVISMetric': LvisRecorder,
    'CocoMetric': CocoRecorder,
    'VOCMetric': VocRecorder,
}


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


def path_of(sample: Any) -> str | None:
    """The image of a sample; metrics of the user's own may get other things than mappings."""
    return sample.get('img_path') if isinstance(sample, Mapping) else None


def _base_named(cls: type, name: str) -> type:
    return next(base for base in cls.__mro__ if base.__name__ == name)
