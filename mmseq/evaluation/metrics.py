"""Upstream's metrics with right figures; each is registered by a function, so that its package is loaded when built.

``upstream=True`` in a metric's config gives upstream's own figures.
"""

from typing import Any

from mmengine.evaluator import BaseMetric

from mmseq.registry import METRICS


@METRICS.register_module(name='CocoMetric')
def coco_metric(upstream: bool = False, **arguments: Any) -> BaseMetric:
    """A :class:`mmseq.evaluation.coco.SoundCocoMetric`, or mmdet's own; the other arguments are mmdet's."""
    from mmdet.evaluation import CocoMetric

    from mmseq.evaluation.coco import SoundCocoMetric

    return (CocoMetric if upstream else SoundCocoMetric)(**arguments)


@METRICS.register_module(name='IoUMetric')
def iou_metric(upstream: bool = False, image_root: str = '', **arguments: Any) -> BaseMetric:
    """A :class:`mmseq.evaluation.iou.CountingIoUMetric`, or mmseg's own; the other arguments are mmseg's.

    Args:
        upstream: give mmseg's figures and names of files.
        image_root: folder whose order of subfolders the files in ``output_dir`` keep.
        arguments: of mmseg's ``IoUMetric``.
    """
    from mmseg.evaluation import IoUMetric

    from mmseq.evaluation.iou import CountingIoUMetric

    return IoUMetric(**arguments) if upstream else CountingIoUMetric(image_root, **arguments)
