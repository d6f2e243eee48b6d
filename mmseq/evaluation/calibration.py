"""Whether confidence is what it says: how often a prediction is right, beside how sure the model was."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Equal intervals of confidence.
BINS = 20
# Intervals of confidence, place and size of a detection.
CELLS = (5, 5, 5, 5, 5)
# Cells with fewer detections tell nothing.
LEAST = 8


@dataclass(frozen=True)
class Reliability:
    """Predictions by their confidence, added up in equal intervals from 0 to 1.

    Attributes:
        count: (N,) predictions.
        confidence: (N,) sums of their confidences.
        right: (N,) how many are right.
    """

    count: np.ndarray
    confidence: np.ndarray
    right: np.ndarray

    def __add__(self, other: 'Reliability') -> 'Reliability':
        return Reliability(self.count + other.count, self.confidence + other.confidence, self.right + other.right)

    def expected_error(self) -> float | None:
        """Expected calibration error (Guo et al., arXiv 1706.04599): the mean gap, each interval by its predictions."""
        total = self.count.sum()
        return float(np.abs(self.confidence - self.right).sum() / total) if total else None

    def largest_error(self) -> float | None:
        """The largest gap of an interval."""
        held = self.count > 0
        gaps = np.abs(self.confidence - self.right)[held] / self.count[held]
        return float(gaps.max()) if held.any() else None

    def records(self) -> dict[str, list[float | None]]:
        """Counts, mean confidence and share of right ones by interval, None where there is none."""

        def means(sums: np.ndarray) -> list[float | None]:
            return [float(one / count) if count else None for one, count in zip(sums, self.count)]

        return dict(count=[int(one) for one in self.count], confidence=means(self.confidence), right=means(self.right))


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Reliability:
    """Add up predictions.

    Args:
        confidence: (N,) from 0 to 1.
        right: (N,) booleans.
        bins: number of intervals.
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return Reliability(
        np.bincount(place, minlength=bins),
        np.bincount(place, confidence.astype(np.float64), bins),
        np.bincount(place[right], minlength=bins),
    )


def detection_error(
    features: np.ndarray, right: np.ndarray, cells: Sequence[int] = CELLS, least: int = LEAST
) -> float | None:
    """D-ECE (Kueppers et al., CVPRW 2020, arXiv 2004.13546): the calibration error by place and size as well.

    Args:
        features: (N, D) from 0 to 1, the confidence first, then centre, width and height in shares of the image.
        right: (N,) whether a detection matches an object.
        cells: number of equal intervals of each feature.
        least: cells with fewer detections are left out.

    Returns:
        The mean gap of the cells by their detections; None where every cell is left out.
    """
    numbers = np.minimum((features * np.array(cells)).astype(np.int64), np.array(cells) - 1)
    _, place = np.unique(np.maximum(numbers, 0), axis=0, return_inverse=True)
    place = place.ravel()
    count = np.bincount(place)
    gaps = np.abs(np.bincount(place, features[:, 0]) - np.bincount(place, right)) if len(place) else count
    held = count >= least
    return float(gaps[held].sum() / count[held].sum()) if held.any() else None
