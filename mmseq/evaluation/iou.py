"""mmseg's IoU from whole numbers of pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from mmseg.evaluation import IoUMetric

from mmseq.errors import InputError
from mmseq.evaluation.per_class import Pairs, count_pairs
from mmseq.files import OwnNames, write_png

# Upstream's histogram counts in float32, where one more than this is the same number.
COUNTED_IN_FLOAT32 = 2**24
# What a PNG holds in a pixel.
LARGEST_LABEL = 2**16 - 1


class CountingIoUMetric(IoUMetric):
    """mmseg's ``IoUMetric`` with areas counted in whole numbers and added up in float64.

    Upstream counts each class of an image in float32, where counting ends at 16.7 million pixels. It also compares
    labels in the type of the prediction, where bytes wrap, and writes all files of ``output_dir`` into one folder in
    eight bits. Here files keep their folders below ``image_root``, and have 16 bits where the classes need them.

    Args:
        image_root: folder of the images.
        arguments: of mmseg's ``IoUMetric``.
    """

    def __init__(self, image_root: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._names = OwnNames(image_root)
        self._large = False

    def process(self, data_batch: dict[str, Any], data_samples: Sequence[dict[str, Any]]) -> None:
        """Count the areas of a batch, and write its label maps if asked for.

        Raises:
            InputError: label maps of more classes than 16 bits hold.
        """
        classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            prediction = flat(sample['pred_sem_seg']['data'])
            if not self.format_only:
                label = flat(sample['gt_sem_seg']['data']).to(prediction.device)
                self._say_if_large(label.numel())
                self.results.append(areas(self.count_pairs(prediction, label, classes), classes))
            if self.output_dir is not None:
                self._write(prediction.cpu().numpy(), sample, classes)

    def count_pairs(self, prediction: torch.Tensor, label: torch.Tensor, classes: int) -> Pairs:
        """Pixels of each pair of classes, from which all else is computed; recorders listen here.

        Args:
            prediction: (H, W) class indices.
            label: (H, W) class indices; pixels of the ignored index do not count.
            classes: their number.
        """
        if prediction.is_floating_point():
            # of binary heads
            prediction = prediction.to(torch.uint8)
        return count_pairs(prediction, label, classes, self.ignore_index)

    def _say_if_large(self, pixels: int) -> None:
        if pixels > COUNTED_IN_FLOAT32 and not self._large:
            self._large = True
            print_log(
                f'an image has {pixels} pixels: areas are counted in whole numbers, while mmseg stops counting at '
                f'{COUNTED_IN_FLOAT32} (upstream=True of the metric gives its figures)',
                'current',
            )

    def _write(self, prediction: np.ndarray, sample: dict[str, Any], classes: int) -> None:
        # the files of such data sets count from 1
        first = int(bool(sample.get('reduce_zero_label', False)))
        largest = classes - 1 + first
        if largest > LARGEST_LABEL:
            raise InputError(f'output_dir: {classes} classes: a PNG holds labels up to {LARGEST_LABEL}; leave it out')
        path = Path(self.output_dir, f'{self._names.of(sample["img_path"])}.png')
        write_png(path, (prediction.astype(np.int64) + first).astype(np.min_scalar_type(largest)))


def flat(labels: torch.Tensor) -> torch.Tensor:
    """(H, W) of a map that may have a first axis of length 1."""
    return labels.reshape(labels.shape[-2:])


def areas(pairs: Pairs, num_classes: int) -> tuple[torch.Tensor, ...]:
    """Areas of intersection, union, prediction and label, each (num_classes,) float64, as upstream adds them up.

    Pixels of a class count in its area also where the other side is no class.
    """
    right = pairs.truth == pairs.prediction
    intersect, predicted, true = (
        torch.from_numpy(np.bincount(which, weights, num_classes + 1)[:num_classes])
        for which, weights in (
            (pairs.truth, pairs.counts * right),
            (pairs.prediction, pairs.counts),
            (pairs.truth, pairs.counts),
        )
    )
    return intersect, predicted + true - intersect, predicted, true
