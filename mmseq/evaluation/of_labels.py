"""Further figures of segmentors: outlines, sizes, places, calibration, and label maps kept for comparison.

All are in percent like mmseg's, except for calibration, whose errors are fractions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch

from mmseq.evaluation.boundaries import RATIO, TRIMAPS, areas, boundary_areas, boundary_width, ious, trimap
from mmseq.evaluation.calibration import BINS, Reliability, reliability
from mmseq.evaluation.places import BANDS, GRID, PLACES, pixel_places
from mmseq.evaluation.probe import Probe, mean, with_value
from mmseq.files import write_png
from mmseq.registry import METRICS

# Areas at which COCO's small and medium objects end, in pixels.
SIZES = {'small': 32**2, 'medium': 96**2, 'large': None}


class OfLabels(Probe):
    """Adds up what :meth:`count` gives for each image.

    Args:
        ignore_index: label of the pixels that do not count.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the data."""
        return tuple((self.dataset_meta or {})['classes'])

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Count each image of a batch."""
        for sample in data_samples:
            prediction, truth = (flat(sample[name]) for name in ('pred_sem_seg', 'gt_sem_seg'))
            ignored = truth == self.ignore_index
            # One value for what has no label, in both maps.
            none = len(self.classes)
            truth, prediction = (np.where(ignored, none, one) for one in (truth, prediction))
            self.results.append(self.count(prediction, truth, sample))

    def count(self, prediction: np.ndarray, truth: np.ndarray, sample: dict[str, Any]) -> Any:
        """What is added up of an image.

        Args:
            prediction: (H, W) places in the classes; their number stands where the truth has no label.
            truth: (H, W) the same.
            sample: all of the data sample.
        """
        raise NotImplementedError


def flat(pixels: dict[str, Any]) -> np.ndarray:
    """(H, W) whole numbers of a map in a data sample."""
    data: torch.Tensor = pixels['data']
    return data.reshape(data.shape[-2:]).cpu().numpy().astype(np.int64)


@METRICS.register_module()
class LabelBoundaries(OfLabels):
    """Boundary IoU of each class, added up over the images as IoU is, and the IoU near changes of the true labels.

    Args:
        ratio: width of boundaries, as share of the image's diagonal.
        trimaps: half widths of the bands, in pixels.
        ignore_index: label of the pixels that do not count.
    """

    default_prefix = 'boundary'

    def __init__(self, ratio: float = RATIO, trimaps: Sequence[int] = TRIMAPS, ignore_index: int = 255) -> None:
        super().__init__(ignore_index)
        self.ratio, self.trimaps = ratio, tuple(trimaps)

    def count(self, prediction: np.ndarray, truth: np.ndarray, sample: dict[str, Any]) -> np.ndarray:
        """(2 + trimaps, 3, classes): areas of the whole, of boundaries, and in each band."""
        classes = len(self.classes)
        ignored = truth == classes
        bands = [trimap(truth, ignored, reach) for reach in self.trimaps]
        return np.stack([
            areas(prediction.ravel(), truth.ravel(), classes),
            boundary_areas(prediction, truth, classes, boundary_width(truth.shape[0], truth.shape[1], self.ratio)),
            *(areas(prediction[band], truth[band], classes) for band in bands),
        ])  # fmt: skip

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """Boundary mIoU, and mIoU in each band."""
        whole, boundary, *bands = 100 * ious(np.sum(results, axis=0))
        self.details = dict(
            ratio=self.ratio,
            classes=list(self.classes),
            IoU=whole.tolist(),
            boundary_IoU=boundary.tolist(),
            trimaps=[dict(pixels=reach, mIoU=mean(band)) for reach, band in zip(self.trimaps, bands)],
        )
        in_bands = {f'trimap_{reach}_mIoU': mean(band) for reach, band in zip(self.trimaps, bands)}
        return with_value(dict(mIoU=mean(boundary), **in_bands))


@METRICS.register_module()
class LabelSizes(OfLabels):
    """mIoU by the area of objects: connected pixels of one class, small, medium and large as COCO has them.

    As COCO ignores detections of another size that match nothing, false pixels count at the size of the predicted
    object that they are in, and true pixels at the size of their object.
    """

    default_prefix = 'size'

    def count(self, prediction: np.ndarray, truth: np.ndarray, sample: dict[str, Any]) -> np.ndarray:
        """(sizes, 3, classes) areas."""
        classes = len(self.classes)
        of_truth, of_prediction = (size_map(one, classes) for one in (truth, prediction))
        found = []
        for size in range(len(SIZES)):
            true = (of_truth == size) & (truth < classes)
            false = (of_prediction == size) & (truth != prediction) & (truth < classes)
            hits = truth[true & (truth == prediction)]
            intersection = np.bincount(hits, minlength=classes)
            wrong = np.bincount(prediction[false & (prediction < classes)], minlength=classes)
            found.append([intersection, intersection + wrong, np.bincount(truth[true], minlength=classes)])
        return np.array(found)

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """mIoU of small, medium and large objects."""
        per_class = 100 * ious(np.sum(results, axis=0))
        self.details = dict(classes=list(self.classes), IoU={name: row.tolist() for name, row in zip(SIZES, per_class)})
        return with_value({f'mIoU_{name}': mean(row) for name, row in zip(SIZES, per_class)})


def size_map(labels: np.ndarray, classes: int) -> np.ndarray:
    """(H, W) place in ``SIZES`` of the object that each pixel is in."""
    found = np.zeros(labels.shape, dtype=np.int64)
    ends = [end for end in SIZES.values() if end is not None]
    for label in np.unique(labels):
        if label < classes:
            mask = labels == label
            _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
            sizes = np.bincount(parts.ravel())
            found[mask] = np.searchsorted(ends, sizes[parts[mask]], side='right')
    return found


@METRICS.register_module()
class LabelPlaces(OfLabels):
    """Accuracy and mIoU by the distance from the image's border, and in each cell of a grid."""

    default_prefix = 'place'

    def count(self, prediction: np.ndarray, truth: np.ndarray, sample: dict[str, Any]) -> np.ndarray:
        """(places, 3, classes) areas."""
        classes = len(self.classes)
        band, cell = pixel_places(*truth.shape)
        kept = truth < classes
        found = []
        for place, number in ((band, len(BANDS)), (cell, GRID * GRID)):
            start = place * (classes + 1)
            pairs = (start + truth)[kept], (start + np.minimum(prediction, classes))[kept]
            hits = pairs[0][(truth == prediction)[kept]]
            counts = [np.bincount(one, minlength=number * (classes + 1)) for one in (hits, pairs[1], pairs[0])]
            found.append(np.stack([one.reshape(number, -1)[:, :classes] for one in counts], 1))
        return np.concatenate(found)

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """The accuracy of the outermost band and of the innermost one that has pixels."""
        counts = np.sum(results, axis=0)
        per_class, true = 100 * ious(counts), counts[:, 2].sum(1)
        accuracy = np.divide(100.0 * counts[:, 0].sum(1), true, out=np.full(PLACES, np.nan), where=true > 0)
        values = dict(accuracy=accuracy, mIoU=np.array([_nan_mean(row) for row in per_class]))
        cut = len(BANDS)
        self.details = {
            name: dict(bands=one[:cut].tolist(), grid=one[cut:].tolist()) for name, one in values.items()
        } | dict(weight=dict(bands=true[:cut].tolist(), grid=true[cut:].tolist()))
        inner = [value for value in accuracy[:cut] if np.isfinite(value)]
        return dict(rim_accuracy=float(inner[0]), inner_accuracy=float(inner[-1])) if inner else {}


def _nan_mean(values: np.ndarray) -> float:
    found = mean(values)
    return np.nan if found is None else found


@METRICS.register_module()
class LabelCalibration(OfLabels):
    """Expected calibration error of pixels.

    Args:
        certainty: what ``seg_logits`` are: ``logits`` of a softmax (one channel has been through the sigmoid), or the
            ``scores`` of classes from masks and their classes, which are taken by their share.
        bins: intervals of confidence.
        ignore_index: label of the pixels that do not count.
    """

    default_prefix = 'calibration'

    def __init__(
        self, certainty: Literal['logits', 'scores'] = 'logits', bins: int = BINS, ignore_index: int = 255
    ) -> None:
        super().__init__(ignore_index)
        self.certainty, self.bins = certainty, bins

    def count(self, prediction: np.ndarray, truth: np.ndarray, sample: dict[str, Any]) -> Reliability:
        """The pixels of an image by confidence."""
        kept = truth < len(self.classes)
        confidence = self._confidence(sample['seg_logits']['data']).cpu().numpy()[kept]
        return reliability(np.clip(confidence, 0, 1), (prediction == truth)[kept], self.bins)

    def compute_metrics(self, results: list[Reliability]) -> dict[str, float]:
        """ECE, and the largest error of an interval."""
        total = sum(results[1:], results[0])
        self.details = dict(bins=self.bins, pixels=total.records())
        return with_value(dict(pixel_ECE=total.expected_error(), pixel_MCE=total.largest_error()))

    def _confidence(self, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.double()
        if len(logits) == 1:
            return torch.maximum(logits[0], 1 - logits[0])
        if self.certainty == 'scores':
            return logits.amax(0) / logits.sum(0).clamp_min(1e-6)
        return (logits.amax(0) - logits.logsumexp(0)).exp()


@METRICS.register_module()
class KeptLabels(OfLabels):
    """Label maps in the order of the images, as ``0.png`` and so on.

    Args:
        folder: where to.
    """

    default_prefix = 'kept'

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = Path(folder)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Write the maps of a batch."""
        for sample in data_samples:
            labels = flat(sample['pred_sem_seg']).astype(np.min_scalar_type(len(self.classes)))
            write_png(self.folder / f'{len(self.results)}.png', labels)
            self.results.append(labels.shape)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Nothing but the number of images."""
        self.details = dict(images=len(results), classes=len(self.classes))
        return {}
