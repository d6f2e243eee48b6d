"""Measurements of robustness as evaluations leave them, written within milliseconds."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from mmseq.evaluation.places import BANDS, GRID
from mmseq.files import write_png

CLASSES = ('sky', 'road')
PLACES = dict(bands=[90.0, None, *[95.0] * (len(BANDS) - 2)], grid=[50.0] * (GRID * GRID - 1) + [None])
BINS = dict(count=[1, 4], confidence=[0.25, 0.75], right=[0.0, 0.5])


def segmentor(folder: Path, **plan: Any) -> Path:
    """A segmentor whose mIoU is 60, 30 and 10 under fog, and 50 under frost; ``plan`` changes what was asked for."""
    boundaries = dict(
        ratio=0.02, classes=CLASSES, IoU=[60, 60], boundary_IoU=[40, None], trimaps=[dict(pixels=1, mIoU=20.0)]
    )
    places = dict(LabelPlaces=dict(accuracy=PLACES, weight=PLACES))
    sure = dict(LabelCalibration=dict(bins=2, pixels=BINS))
    evaluations = [
        ('clean', 'clean', {}, dict(mIoU=60.0, aAcc=90.0), {}),
        ('corruptions', 'fog_1', dict(corruption='fog', severity=1), dict(mIoU=30.0), {}),
        ('corruptions', 'fog_2', dict(corruption='fog', severity=2), dict(mIoU=10.0), {}),
        ('corruptions', 'frost', dict(corruption='frost_generated', severity=1), dict(mIoU=50.0), {}),
        ('boundaries', 'boundaries', {}, {'boundary/mIoU': 40.0}, dict(LabelBoundaries=boundaries)),
        ('resolution', '1', dict(factor=1.0), {'mIoU': 60.0, 'size/mIoU_small': 20.0}, {}),
        ('resolution', '2', dict(factor=2.0), {'mIoU': 55.0, 'size/mIoU_small': 30.0}, {}),
        ('position', 'position', {}, {'place/rim_accuracy': 90.0}, places),
        ('calibration', 'calibration', {}, {'calibration/pixel_ECE': 0.1}, sure),
        *views(folder),
    ]
    return write(folder, evaluations, plan)


def views(folder: Path) -> list[tuple[str, str, dict[str, Any], dict[str, float], dict[str, Any]]]:
    """The label maps of three images as they are, and of a view in which the last one is all wrong."""
    kept = dict(KeptLabels=dict(images=3, classes=2))
    for name in ('plain', 'flip_horizontal'):
        for number in range(3):
            labels = np.full((8, 8), int(name != 'plain' and number == 2), np.uint8)
            write_png(folder / 'evaluations' / 'consistency' / name / 'labels' / f'{number}.png', labels)
    about = dict(view='flip_horizontal')
    return [('consistency', 'plain', {}, {}, kept), ('consistency', 'flip_horizontal', about, dict(mIoU=58.0), kept)]


def detector(folder: Path) -> Path:
    """A detector without large objects, with an outline of each class."""
    metrics = {'coco/bbox_mAP': 0.4, 'coco/bbox_mAP_s': 0.1, 'coco/bbox_mAP_l': -1.0}
    about = dict(ratio=0.02, classes=CLASSES, AP=[0.1, None], AP50=[0.2, 0.3])
    recall = dict(recall=PLACES, precision=PLACES, weight=PLACES, score_threshold=0.4)
    sure = dict(InstanceCalibration=dict(bins=2, detections=BINS))
    evaluations = [
        ('clean', 'clean', {}, metrics, {}),
        ('boundaries', 'boundaries', {}, {'boundary/AP': 0.1}, dict(InstanceBoundaries=about)),
        ('resolution', '1', dict(factor=1.0), metrics, {}),
        ('position', 'position', {}, {'place/rim_recall': 50.0}, dict(InstancePlaces=recall)),
        ('calibration', 'calibration', {}, {'calibration/ECE': 0.1}, sure),
    ]
    return write(folder, evaluations, {})


def write(folder: Path, evaluations: list[tuple[Any, ...]], plan: dict[str, Any]) -> Path:
    """Write the files of all evaluations, and the plan."""
    for part, name, about, metrics, details in evaluations:
        path = folder / 'evaluations' / part / name / 'figures.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(part=part, name=name, about=about, metrics=metrics, details=details, images=3)))
    keys = [f'{part}/{name}' for part, name, *_ in evaluations]
    usual = dict(checkpoint='runs/iter_30.pth', parts=[], quick=False, images=None, seed=0)
    (folder / 'plan.json').write_text(json.dumps(usual | plan | dict(evaluations=keys)))
    return folder
