"""Further figures of detectors: outlines, places, calibration, and detections kept for comparison.

Detections and objects are matched by pycocotools. AP and errors of calibration are fractions, as mmdet's; recall and
precision are in percent.
"""

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as rle
from pycocotools.cocoeval import COCOeval

from mmseq.evaluation.boundaries import RATIO, BoundaryEval
from mmseq.evaluation.calibration import BINS, CELLS, LEAST, detection_error, reliability
from mmseq.evaluation.matching import USUAL_SCORE
from mmseq.evaluation.per_class import average_precisions
from mmseq.evaluation.places import PLACES, count_points, shares
from mmseq.evaluation.probe import Probe, with_value
from mmseq.files import write_json
from mmseq.registry import METRICS

# Overlap from which a detection finds an object.
FOUND = 0.5
# Detections below this score say nothing about calibration and views; detectors keep hundreds of them.
LEAST_SCORE = 0.05


class OfInstances(Probe):
    """Gathers the detections of each image as rows of a COCO result.

    Args:
        ann_file: the truth.
    """

    def __init__(self, ann_file: str) -> None:
        super().__init__()
        self.ann_file = ann_file

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the data."""
        return tuple((self.dataset_meta or {})['classes'])

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Gather a batch."""
        for sample in data_samples:
            found = sample['pred_instances']
            boxes, scores, labels = (found[name].cpu().numpy() for name in ('bboxes', 'scores', 'labels'))
            sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).astype(float)
            rows = [
                dict(image_id=sample['img_id'], bbox=box, score=float(score), label=int(label))
                for box, score, label in zip(sides.tolist(), scores, labels)
            ]
            for row, mask in zip(rows, found.get('masks', ())):
                row['segmentation'] = encoded(mask)
            self.results.append((sample['img_id'], tuple(sample['ori_shape']), rows))

    def evaluator(self, results: list[Any], masks: bool) -> COCOeval | None:
        """An evaluation of the images that were seen, matched at an overlap of 0.5; None if nothing was detected."""
        evaluator = self.prepared(results, 'segm' if masks else 'bbox')
        if evaluator is not None:
            evaluator.params.iouThrs = np.array([FOUND])
            evaluator.params.areaRng, evaluator.params.areaRngLbl = evaluator.params.areaRng[:1], ['all']
            with redirect_stdout(io.StringIO()):
                evaluator.evaluate()
        return evaluator

    def prepared(self, results: list[Any], kind: str, ratio: float = RATIO) -> COCOeval | None:
        """An evaluation by boxes, ``bbox``, masks, ``segm``, or their ``boundary``; None if nothing was detected."""
        # A module of mmdet's, loaded when it is needed.
        from mmseq.evaluation.coco import Truth

        with open(self.ann_file, encoding='utf-8') as file, redirect_stdout(io.StringIO()):
            truth = Truth(json.load(file))
            categories = truth.get_cat_ids(cat_names=list(self.classes))
            rows = [dict(row, category_id=categories[row['label']]) for *_, of_image in results for row in of_image]
            if not rows:
                return None
            found = truth.loadRes(rows)
        evaluator = BoundaryEval(truth, found, ratio) if kind == 'boundary' else COCOeval(truth, found, kind)
        evaluator.params.imgIds = [image for image, *_ in results]
        evaluator.params.catIds = categories
        return evaluator


def encoded(mask: Any) -> dict[str, Any]:
    """Run lengths of a (H, W) mask, with text for bytes; those that a detector gives as such stay."""
    if not isinstance(mask, dict):
        mask = rle.encode(np.asfortranarray(mask.cpu().numpy(), dtype=np.uint8))
    counts = mask['counts']
    return dict(mask, counts=counts.decode() if isinstance(counts, bytes) else counts)


@dataclass(frozen=True)
class Matched:
    """Detections and objects of all images at one overlap; crowds, and what lies in them, are left out.

    Attributes:
        boxes: (D, 4) left, top, width and height of the detections.
        sizes: (D, 2) height and width of their images.
        scores: (D,).
        right: (D,) whether a detection finds an object.
        objects: (G, 4) boxes of the true objects.
        object_sizes: (G, 2) height and width of their images.
        found_with: (G,) score of the detection that finds an object, -1 where none does.
    """

    boxes: np.ndarray
    sizes: np.ndarray
    scores: np.ndarray
    right: np.ndarray
    objects: np.ndarray
    object_sizes: np.ndarray
    found_with: np.ndarray

    def best_score(self) -> float:
        """The score at which F1 is highest; 0.3 where nothing is right."""
        if not self.right.any():
            return USUAL_SCORE
        order = np.argsort(-self.scores, kind='stable')
        scores, right = self.scores[order], np.cumsum(self.right[order])
        f1 = 2 * right / (np.arange(1, len(scores) + 1) + len(self.objects))
        f1[:-1][scores[:-1] == scores[1:]] = 0
        return float(scores[f1.argmax()])


def read_matched(evaluator: COCOeval) -> Matched:
    """What an evaluation at one overlap and for all areas matched."""
    truth, found = evaluator.cocoGt, evaluator.cocoDt
    detections: list[tuple[Any, ...]] = []
    objects: list[tuple[Any, ...]] = []
    for cell in filter(None, evaluator.evalImgs):
        image = truth.imgs[cell['image_id']]
        size = (image['height'], image['width'])
        for own, score, other, ignored in zip(
            cell['dtIds'], cell['dtScores'], cell['dtMatches'][0], cell['dtIgnore'][0]
        ):
            if not ignored:
                detections.append((*found.anns[own]['bbox'], *size, score, other > 0))
        for own, other, ignored in zip(cell['gtIds'], cell['gtMatches'][0], cell['gtIgnore']):
            if not ignored:
                score = found.anns[int(other)]['score'] if other > 0 else -1.0
                objects.append((*truth.anns[own]['bbox'], *size, score))
    rows, true = np.array(detections).reshape(-1, 8), np.array(objects, dtype=float).reshape(-1, 7)
    return Matched(rows[:, :4], rows[:, 4:6], rows[:, 6], rows[:, 7] > 0, true[:, :4], true[:, 4:6], true[:, 6])


@METRICS.register_module()
class InstanceBoundaries(OfInstances):
    """Boundary AP: AP where the overlap is the smaller one of mask IoU and boundary IoU.

    Args:
        ann_file: the truth.
        ratio: width of boundaries, as share of the image's diagonal.
    """

    default_prefix = 'boundary'

    def __init__(self, ann_file: str, ratio: float = RATIO) -> None:
        super().__init__(ann_file)
        self.ratio = ratio

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """AP, AP50, AP75 and AP by size, of boundaries."""
        evaluator = self.prepared(results, 'boundary', self.ratio)
        if evaluator is None:
            return dict(AP=0.0)
        with redirect_stdout(io.StringIO()):
            evaluator.evaluate()
            evaluator.accumulate()
        per_class = average_precisions(evaluator.eval['precision'], evaluator.params)
        names = [evaluator.cocoGt.cats[category]['name'] for category in evaluator.params.catIds]
        self.details = dict(ratio=self.ratio, classes=names, **per_class)
        means = {name: [one for one in values if one is not None] for name, values in per_class.items()}
        return with_value({name: float(np.mean(some)) if some else None for name, some in means.items()})


@METRICS.register_module()
class InstancePlaces(OfInstances):
    """Recall and precision by the distance of a box's centre from the image's border, and in each cell of a grid.

    Detections count from the score on at which F1 is highest.
    """

    default_prefix = 'place'

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Recall of the outermost band and of the innermost one that has objects."""
        evaluator = self.evaluator(results, masks=False)
        if evaluator is None:
            return {}
        matched = read_matched(evaluator)
        least = matched.best_score()
        shown = matched.scores >= least
        recall, objects = shares_at(matched.objects, matched.object_sizes, matched.found_with >= least)
        precision, _ = shares_at(matched.boxes[shown], matched.sizes[shown], matched.right[shown])
        self.details = dict(score_threshold=least, recall=recall, precision=precision, weight=objects)
        inner = [value for value in recall['bands'] if value is not None]
        return dict(rim_recall=inner[0], inner_recall=inner[-1]) if inner else {}


def shares_at(
    boxes: np.ndarray, sizes: np.ndarray, chosen: np.ndarray
) -> tuple[dict[str, list[float | None]], dict[str, list[float | None]]]:
    """Percent of boxes that are chosen, and their number, at each place.

    Args:
        boxes: (N, 4) left, top, width and height.
        sizes: (N, 2) height and width of their images.
        chosen: (N,) booleans.
    """
    height, width = sizes.T
    rows, columns = boxes[:, 1] + boxes[:, 3] / 2, boxes[:, 0] + boxes[:, 2] / 2
    total = count_points(rows, columns, height, width)
    some = count_points(rows[chosen], columns[chosen], height[chosen], width[chosen])
    return shares(100 * some, total), shares(total, np.ones(PLACES))


@METRICS.register_module()
class InstanceCalibration(OfInstances):
    """Calibration errors of detections: by confidence alone, and by place and size as well (D-ECE)."""

    default_prefix = 'calibration'

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """ECE, the largest error of an interval, and D-ECE."""
        evaluator = self.evaluator(results, masks=False)
        if evaluator is None:
            return {}
        matched = read_matched(evaluator)
        kept = matched.scores >= LEAST_SCORE
        scores, right = matched.scores[kept], matched.right[kept]
        total = reliability(scores, right)
        height, width = matched.sizes[kept].T
        left, top, across, down = matched.boxes[kept].T
        features = [scores, (left + across / 2) / width, (top + down / 2) / height, across / width, down / height]
        joint = detection_error(np.clip(np.stack(features, 1), 0, 1), right)
        self.details = dict(
            bins=BINS, cells=CELLS, least=LEAST, least_score=LEAST_SCORE, overlap=FOUND, detections=total.records()
        )
        return with_value(dict(ECE=total.expected_error(), MCE=total.largest_error(), D_ECE=joint))


@METRICS.register_module()
class KeptInstances(OfInstances):
    """Detections in the order of the images, in one JSON file.

    Args:
        ann_file: the truth.
        file: where to.
    """

    default_prefix = 'kept'

    def __init__(self, ann_file: str, file: str) -> None:
        super().__init__(ann_file)
        self.file = file

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Nothing; writes the file."""
        images, sizes, found = zip(*results)
        rows = [[row for row in of_image if row['score'] >= LEAST_SCORE] for of_image in found]
        write_json(self.file, dict(images=images, sizes=sizes, detections=rows))
        self.details = dict(images=len(results))
        return {}
