"""Top-1 and top-5 accuracy."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from mmseq.registry import METRICS


@METRICS.register_module()
class TopK(BaseMetric):
    """The share of images whose class is among the k that have the highest scores, in percent: ``top1``, ``top5``.

    Args:
        ks: the k's.
        collect_device: as mmengine's metrics have it.
        prefix: of the names.
    """

    def __init__(self, ks: Sequence[int] = (1, 5), collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device, prefix)
        self.ks = tuple(ks)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep how many classes of each image have a higher score than the true one."""
        self.results += [sample['rank'] for sample in data_samples]

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        """The shares over all images."""
        return {f'top{k}': 100 * sum(rank < k for rank in results) / len(results) for k in self.ks}
