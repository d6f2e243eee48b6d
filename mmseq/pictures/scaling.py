"""Images, annotations and predictions in another size, to look at."""

from dataclasses import replace

import cv2
import numpy as np

from mmseq.pictures.browse import Objects, Sample
from mmseq.pictures.masks import Masks
from mmseq.pictures.prediction import Prediction

# Longer side of a picture in pixels: small ones are enlarged to the first, since lines and names have a size.
ENLARGE_TO, SHRINK_TO = 400, 720


def factor_for(picture: np.ndarray) -> float:
    """What a picture's sides are multiplied by to be looked at."""
    longer = max(picture.shape[:2])
    return max(1.0, ENLARGE_TO / longer) if longer <= SHRINK_TO else SHRINK_TO / longer


def resize(picture: np.ndarray, factor: float, smooth: bool = True) -> np.ndarray:
    """(H, W) or (H, W, 3) with other sides."""
    size = [max(1, round(side * factor)) for side in picture.shape[1::-1]]
    method = cv2.INTER_NEAREST
    if smooth:
        method = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
    return cv2.resize(picture, size, interpolation=method)


def resize_masks(masks: np.ndarray | None, factor: float) -> np.ndarray | None:
    """(N, H, W) booleans with other sides."""
    if masks is None or not len(masks):
        return masks
    return np.stack([resize_mask(mask, factor) for mask in masks])


def resize_mask(mask: np.ndarray, factor: float) -> np.ndarray:
    """(H, W) booleans with other sides."""
    # cubes of a mask's bytes have its outline without steps
    return resize(mask.astype(np.uint8) * 255, factor) > 127


def resize_run_lengths(masks: Masks | None, factor: float) -> Masks | None:
    """Masks of an image with other sides."""
    if masks is None:
        return None
    resized = [resize_mask(mask, factor) for mask in masks.dense()]
    return Masks.of(resized, resized[0].shape) if resized else masks


def scale_sample(sample: Sample, factor: float) -> Sample:
    """A sample with other sides."""

    def scaled(objects: Objects | None) -> Objects | None:
        if objects is None:
            return None
        return Objects(objects.labels, objects.boxes * factor, resize_masks(objects.masks, factor))

    labels = None if sample.labels is None else resize(sample.labels.astype(np.int16), factor, smooth=False)
    return replace(
        sample,
        picture=resize(sample.picture, factor),
        objects=scaled(sample.objects),
        ignored=scaled(sample.ignored),
        labels=labels,
    )


def scale_prediction(prediction: Prediction, factor: float) -> Prediction:
    """A prediction with other sides."""
    found = prediction.instances
    if found is not None:
        found = replace(found, boxes=found.boxes * factor, masks=resize_run_lengths(found.masks, factor))
    labels, panoptic = (
        None if values is None else resize(values.astype(np.int32), factor, smooth=False)
        for values in (prediction.labels, prediction.panoptic)
    )
    return replace(
        prediction, picture=resize(prediction.picture, factor), instances=found, labels=labels, panoptic=panoptic
    )
