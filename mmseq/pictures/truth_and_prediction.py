"""One picture of an evaluation: the truth on the left, the prediction on the right."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from torch import nn

from mmseq.pictures.browse import Sample, draw_sample, read_objects
from mmseq.pictures.drawing import draw
from mmseq.pictures.lettering import font_of
from mmseq.pictures.prediction import read_prediction
from mmseq.pictures.scaling import factor_for, scale_prediction, scale_sample

GAP, CAPTION = 6, 20


def draw_truth_and_prediction(
    picture: np.ndarray, sample: Any, model: nn.Module, classes: Sequence[str], palette: np.ndarray, score: float
) -> np.ndarray:
    """Draw truth beside prediction, or the prediction alone where the sample has no truth.

    Args:
        picture: (H, W, 3) bytes, red first.
        sample: a DetDataSample or SegDataSample with annotations in the size of the picture.
        model: that predicted.
        classes: names.
        palette: (classes, 3) bytes.
        score: instances below it are left out.

    Returns:
        (H', W', 3) bytes, enlarged or reduced to a size to look at.
    """
    factor = factor_for(picture)
    predicted = read_prediction(picture, sample, model, len(classes), certainty=False).above(score)
    panels = {'prediction': draw(scale_prediction(predicted, factor), classes, palette)}
    truth = read_truth(picture, sample)
    if truth.objects is not None or truth.labels is not None:
        panels = {'truth': draw_sample(scale_sample(truth, factor), classes, palette)} | panels
    return side_by_side(panels)


def read_truth(picture: np.ndarray, sample: Any) -> Sample:
    """The annotations of one of upstream's samples."""
    labels = None
    if 'gt_sem_seg' in sample:
        # mmseg's name and mmdet's
        labels = sample.gt_sem_seg.get('data', sample.gt_sem_seg.get('sem_seg'))[0].cpu().numpy()
    found = [sample.get(name) for name in ('gt_instances', 'ignored_instances')]
    objects, ignored = (read_objects(one if one is None else one.cpu()) for one in found)
    return Sample(PurePath(str(sample.get('img_path', ''))).stem, picture, objects, ignored, labels)


def side_by_side(panels: dict[str, np.ndarray]) -> np.ndarray:
    """Pictures of one height in a row, each below its caption."""
    widths = [panel.shape[1] for panel in panels.values()]
    height = next(iter(panels.values())).shape[0]
    sheet = Image.new('RGB', (sum(widths) + GAP * (len(panels) - 1), height + CAPTION), 'white')
    pen, left = ImageDraw.Draw(sheet), 0
    for (caption, panel), width in zip(panels.items(), widths):
        pen.text((left + 2, CAPTION / 2), caption, fill='#303030', font=font_of(13), anchor='lm')
        sheet.paste(Image.fromarray(panel), (left, CAPTION))
        left += width + GAP
    return np.array(sheet)
