"""What the further metrics of a robustness evaluation have in common."""

from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric


class Probe(BaseMetric):
    """A metric whose figures are more than numbers under names.

    Attributes:
        details: after ``evaluate``, curves, grids and tables in JSON's own types.
    """

    def __init__(self) -> None:
        super().__init__(collect_device='cpu')
        self.details: dict[str, Any] = {}


def mean(values: np.ndarray) -> float | None:
    """The mean over what is there; None if nothing is."""
    present = values[np.isfinite(values)]
    return float(present.mean()) if present.size else None


def with_value(figures: dict[str, float | None]) -> dict[str, float]:
    """Figures without those that do not exist."""
    return {name: value for name, value in figures.items() if value is not None}
