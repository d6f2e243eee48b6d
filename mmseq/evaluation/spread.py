"""Several values of one quantity, such as those of runs with different seeds."""

import statistics
from collections.abc import Sequence

STATISTICS = ('mean', 'std', 'min', 'max')


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, standard deviation of the sample (None of fewer than two values), smallest and largest."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return dict(zip(STATISTICS, (statistics.fmean(values), deviation, min(values), max(values))))
