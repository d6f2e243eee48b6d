"""A row of figures for each image of an evaluation, so that the best and the worst are found at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmseq.evaluation.matching import Matches, f1_score
from mmseq.evaluation.per_class import Pairs
from mmseq.evaluation.tide import FALSE_KINDS, classify_errors

SEGMENTATION_COLUMNS = (
    'image',
    'score',
    'pixel_accuracy',
    'pixels',
    'right_pixels',
    'true_classes',
    'predicted_classes',
    'most_confused',
    'most_confused_share',
)
DETECTION_COLUMNS = ('image', 'score', 'image_id', 'matches', 'missed', 'false', *FALSE_KINDS)


def segmentation_row(path: str | None, pairs: Pairs, classes: Sequence[str]) -> tuple[Any, ...]:
    """Figures of one segmented image, in percent.

    Args:
        path: the picture.
        pairs: of two classes, counted in it.
        classes: names of the K classes.

    Returns:
        A cell for each of ``SEGMENTATION_COLUMNS``. The score is the mean IoU over the classes that occur in truth or
        prediction; None if every pixel is ignored. The most confused pair reads ``truth as prediction``; its share is
        of all pixels.
    """
    number = len(classes)
    truth, prediction, counts = pairs.truth, pairs.prediction, pairs.counts
    same = truth == prediction
    pixels, right = counts.sum(), counts[same].sum()
    of_truth, of_prediction, of_both = (
        np.bincount(index, weights, number)
        for index, weights in ((truth, counts), (prediction, counts), (truth, counts * same))
    )
    union = of_truth + of_prediction - of_both
    present = union > 0
    mean_iou = 100 * float((of_both[present] / union[present]).mean()) if pixels else None
    accuracy = 100 * float(right / pixels) if pixels else None
    row = (path, mean_iou, accuracy, int(pixels), int(right), int((of_truth > 0).sum()), int((of_prediction > 0).sum()))
    wrong = np.where(same, 0, counts)
    if not wrong.any():
        return (*row, None, None)
    worst = wrong.argmax()
    return (*row, f'{classes[truth[worst]]} as {classes[prediction[worst]]}', 100 * float(wrong[worst] / pixels))


def detection_rows(paths: Sequence[str | None], matches: Matches) -> list[tuple[Any, ...]]:
    """Figures of the I images of an evaluation with detections.

    Args:
        paths: the pictures.
        matches: without detections of low scores.

    Returns:
        For each image a cell for each of ``DETECTION_COLUMNS``. The score is F1 in percent; None where there was
        nothing to find and nothing was found. The last columns count false detections by kind
        (:mod:`mmseq.evaluation.tide`).
    """
    count, kinds = len(paths), len(FALSE_KINDS)
    false = matches.matched < 0
    right = np.bincount(matches.images[~false], minlength=count).tolist()
    objects = np.bincount(matches.truth_images, minlength=count).tolist()
    of_kind = classify_errors(matches).kinds[false]
    errors = np.bincount(matches.images[false] * kinds + of_kind, minlength=count * kinds).reshape(count, kinds)
    return [
        (path, f1_score(found, there - found, sum(wrong)), image, found, there - found, sum(wrong), *wrong)
        for path, image, found, there, wrong in zip(paths, matches.image_ids, right, objects, errors.tolist())
    ]
