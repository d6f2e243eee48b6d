"""What a config does with a data set, since the same file may be sound for one use and not for another."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """How a data set is used.

    Attributes:
        trained: the loader filters it for training; otherwise it is evaluated or only predicted.
        coco_metric: COCO's evaluation reads its annotations.
        masks: the pipeline loads masks, or they are evaluated.
        polygons: masks stay polygons (``poly2mask=False``), and the loader leaves out all others.
        labelled: annotations are needed; not where predictions are only written (``format_only``).
        min_size: images with a shorter side are left out of training, in pixels.
        filter_empty: images without an object are left out of training.
        channels: images are loaded by LoadMultispectralImage, which reads what OpenCV does not.
    """

    trained: bool = True
    coco_metric: bool = False
    masks: bool = False
    polygons: bool = False
    labelled: bool = True
    min_size: int = 0
    filter_empty: bool = False
    channels: bool = False


TRAINED = Use()
