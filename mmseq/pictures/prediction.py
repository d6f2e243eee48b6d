"""The prediction for one picture, in numpy, for every task; read from upstream's samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmseq.pictures.masks import Masks

INSTANCE_OFFSET = 1000
"""A panoptic segment's id is its class plus so many times its number, as in mmdet."""
# Segmentors whose logits are sums of masks' probabilities.
MASK_CLASSIFIERS = ('MaskFormerHead', 'Mask2FormerHead')


@dataclass(frozen=True)
class Instances:
    """What was detected, the surest first.

    Args:
        boxes: (N, 4): left, top, right, bottom in pixels of the picture.
        labels: (N,) places in the classes.
        scores: (N,) from 0 to 1.
        masks: N; None from a detector of boxes alone.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    masks: Masks | None

    def __len__(self) -> int:
        return len(self.labels)

    def above(self, score: float) -> 'Instances':
        """Those that reach a score."""
        return self.take(self.scores >= score)

    def take(self, which: np.ndarray) -> 'Instances':
        """Those at the given places, or where the given booleans are true."""
        masks = None if self.masks is None else self.masks.take(which)
        return Instances(self.boxes[which], self.labels[which], self.scores[which], masks)


@dataclass(frozen=True)
class Prediction:
    """What a model says of one picture of (H, W) pixels; None is what its task does not have.

    Args:
        picture: (H, W, 3) bytes to look at, red first.
        instances: of a detector.
        labels: (H, W) places in the classes, of a segmentor.
        certainty: (H, W) float32, the probability of that class; only if asked for, and if the segmentor keeps it.
        panoptic: (H, W) ids of segments (see ``INSTANCE_OFFSET``); the class behind the last stands for no segment.
        cut_off: the score below which the model left instances out, because it had as many as it may give
            (:func:`mmseq.large.limit.max_per_img`); None if it gave all.
    """

    picture: np.ndarray
    instances: Instances | None = None
    labels: np.ndarray | None = None
    certainty: np.ndarray | None = None
    panoptic: np.ndarray | None = None
    cut_off: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.picture.shape[:2]

    def above(self, score: float) -> 'Prediction':
        """The same with those instances alone that reach a score."""
        if self.instances is None:
            return self
        cut_off = self.cut_off if self.cut_off is not None and self.cut_off >= score else None
        return replace(self, instances=self.instances.above(score), cut_off=cut_off)

    def arrays(self) -> list[np.ndarray]:
        """All that it holds."""
        found = [self.picture, self.labels, self.certainty, self.panoptic]
        if (own := self.instances) is not None:
            found += [own.boxes, own.labels, own.scores, *([] if own.masks is None else own.masks.edges)]
        return [array for array in found if array is not None]

    def class_map(self) -> np.ndarray | None:
        """(H, W) places in the classes, of a segmentor or of panoptic segments."""
        return self.panoptic % INSTANCE_OFFSET if self.labels is None and self.panoptic is not None else self.labels

    def by_class(self, classes: Sequence[str]) -> list[dict[str, Any]]:
        """What there is of each class that occurs, the most first.

        Instances have a ``count`` and the highest ``score``; areas a ``share`` of the picture from 0 to 1 and, where
        it is known, the mean ``certainty`` on it.
        """
        return instances_by_class(self.instances, classes) + areas_by_class(self.class_map(), self.certainty, classes)


def instances_by_class(instances: Instances | None, classes: Sequence[str]) -> list[dict[str, Any]]:
    """See :meth:`Prediction.by_class`."""
    if instances is None:
        return []
    rows = []
    for label in np.unique(instances.labels):
        scores = instances.scores[instances.labels == label]
        rows.append(dict(index=int(label), name=classes[label], count=len(scores), score=float(scores.max())))
    return sorted(rows, key=lambda row: (-row['count'], -row['score']))


def areas_by_class(
    labels: np.ndarray | None, certainty: np.ndarray | None, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """See :meth:`Prediction.by_class`."""
    if labels is None:
        return []
    # Values behind the classes are no segment.
    flat = np.minimum(labels.ravel(), len(classes)).astype(np.intp)
    pixels = np.bincount(flat, minlength=len(classes) + 1)[:-1]
    sums = None if certainty is None else np.bincount(flat, certainty.ravel(), len(classes) + 1)
    rows = []
    for label in np.flatnonzero(pixels).tolist():
        row: dict[str, Any] = dict(index=label, name=classes[label], share=float(pixels[label] / labels.size))
        if sums is not None:
            row['certainty'] = float(sums[label] / pixels[label])
        rows.append(row)
    return sorted(rows, key=lambda row: -row['share'])


def read_prediction(picture: np.ndarray, sample: Any, model: nn.Module, classes: int, certainty: bool) -> Prediction:
    """A prediction from one of upstream's samples.

    Args:
        picture: (H, W, 3) bytes.
        sample: a DetDataSample or SegDataSample.
        model: that made it.
        classes: how many there are.
        certainty: keep it; see :class:`Prediction`.
    """
    instances = labels = sure = panoptic = None
    if 'pred_instances' in sample:
        instances = read_instances(sample.pred_instances)
    if 'pred_sem_seg' in sample:
        # mmseg's name and mmdet's.
        values = sample.pred_sem_seg.get('data', sample.pred_sem_seg.get('sem_seg'))
        labels = values[0].cpu().numpy().astype(label_type(classes))
    if certainty and 'seg_logits' in sample:
        sure = probability(sample.seg_logits.data, model).float().cpu().numpy()
    if 'pred_panoptic_seg' in sample:
        panoptic = sample.pred_panoptic_seg.sem_seg[0].cpu().numpy()
    return Prediction(picture, instances, labels, sure, panoptic)


def label_type(classes: int) -> type:
    """The smallest of numpy's types for a label map."""
    return np.uint8 if classes <= 256 else np.uint16


def read_instances(found: Any) -> Instances:
    """mmdet's predictions in numpy, the surest first."""
    scores = found.scores.float().cpu().numpy()
    order = np.argsort(-scores, kind='stable')
    labels = found.labels.cpu().numpy()[order]
    masks = read_masks(found.masks).take(order) if 'masks' in found else None
    boxes = found.bboxes.float().cpu().numpy()[order] if 'bboxes' in found else np.zeros((len(labels), 4), np.float32)
    if masks is not None and not boxes.any():
        # Detectors by masks alone fill the boxes with zeros.
        boxes = masks.boxes
    return Instances(boxes, labels, scores[order], masks)


def read_masks(found: Masks | Tensor) -> Masks:
    """Upstream's (N, H, W), which may be floats, as run lengths."""
    if isinstance(found, Masks):
        return found
    return Masks.of((mask.cpu().numpy().astype(bool) for mask in found), (found.shape[1], found.shape[2]))


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a mask; zeros if it is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if len(rows) else (0, 0, 0, 0)


def probability(logits: Tensor, model: nn.Module) -> Tensor:
    """(H, W): how sure a segmentor is of the class it chose, from upstream's ``seg_logits`` (C, H, W)."""
    if len(logits) == 1:
        # Upstream has put these through the sigmoid already.
        return torch.maximum(logits[0], 1 - logits[0])
    if type(model.decode_head).__name__ in MASK_CLASSIFIERS:
        return logits.amax(0) / logits.sum(0).clamp_min(1e-6)
    return (logits.amax(0) - logits.logsumexp(0)).exp()
