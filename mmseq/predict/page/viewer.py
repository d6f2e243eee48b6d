"""What the web page shows of a picture: prediction, legend, receptive field; nothing of the page itself."""

import math
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from html import escape

import cv2
import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import nn

from mmseq.datasets.formats import open_image
from mmseq.datasets.multispectral import announced_size
from mmseq.errors import InputError
from mmseq.measure.receptive_field import area, cell_at, effective_receptive_field, extractor, stride_of
from mmseq.pictures.drawing import draw
from mmseq.pictures.fields import draw_field
from mmseq.pictures.prediction import Prediction
from mmseq.predict.predictor import Predictor, Prepared

# Pixels of the longer side of a shown picture: names on less are hard to read, more is slow to send.
MIN_SIDE, MAX_SIDE = 900, 1600
# Rows of a legend.
ROWS = 24
# Receptive fields of one picture that are kept, each as large as what the model takes of it.
FIELDS = 8


@dataclass(frozen=True)
class Limits:
    """What an upload may be: bytes of its file, and pixels."""

    bytes: int = 20 * 2**20
    pixels: int = 40 * 10**6


@dataclass
class UploadResult:
    """A picture that was uploaded, with its prediction and the receptive fields computed so far.

    Args:
        name: of the file, as uploaded.
        size: height and width of the picture.
        prepared: what the model takes.
        prediction: all instances, whatever their score, in the size to be shown.
        seconds: that the model took.
        fields: the receptive fields that were computed last, by level and cell.
    """

    name: str
    size: tuple[int, int]
    prepared: Prepared
    prediction: Prediction
    seconds: float
    fields: dict[tuple[int, int, int], np.ndarray] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """What it takes of the memory."""
        inputs = self.prepared.data['inputs']
        arrays = (*self.prediction.arrays(), *self.fields.values())
        return inputs.numel() * inputs.element_size() + sum(array.nbytes for array in arrays)

    def add_field(self, key: tuple[int, int, int], seen: np.ndarray) -> None:
        """Keep a receptive field in the place of the oldest one."""
        self.fields[key] = seen
        while len(self.fields) > FIELDS:
            del self.fields[next(iter(self.fields))]


class Viewer:
    """What a web page shows of a predictor: overlays, legends and receptive fields.

    Args:
        predictor: with ``certainty``, so that areas have scores.
        limits: of uploads.

    Attributes:
        strides: pixels per cell of the backbone's levels.
    """

    def __init__(self, predictor: Predictor, limits: Limits = Limits()) -> None:
        self.predictor, self.limits = predictor, limits
        self.strides = level_strides(predictor.model)
        self.detects = not hasattr(predictor.model, 'decode_head')

    def predict(self, path: str, name: str) -> UploadResult:
        """Predict an uploaded file.

        Raises:
            InputError: it is too large, or no picture; one line for the page.
        """
        self.check(path, name)
        try:
            prepared = self.predictor.prepare(path)
        except InputError as error:
            raise InputError(str(error).replace(path, name)) from error
        size = prepared.picture.shape[:2]
        prepared = in_display_size(prepared)
        begin = time.perf_counter()
        with reporting_lack_of_memory(name):
            (prediction,) = self.predictor.run([prepared])
        return UploadResult(name, size, prepared, prediction, time.perf_counter() - begin)

    def check(self, path: str, name: str) -> None:
        """Refuse an upload by its bytes and its header, before anything of it is decoded.

        Raises:
            InputError: see :meth:`predict`.
        """
        try:
            size, most = os.path.getsize(path), self.limits.bytes
        except OSError as error:
            raise InputError(f'{name} is no longer here; drop it again') from error
        if size > most:
            raise InputError(f'{name} has {size / 2**20:.1f} MB; at most {most / 2**20:g} MB are taken')
        if self.predictor.from_files_alone and (numbers := announced_size(path)) is not None:
            channels = getattr(self.predictor.model.backbone, 'in_channels', 3)
            self.check_pixels(numbers / channels, name)
            return
        try:
            with warnings.catch_warnings():
                # Ours is the lower limit.
                warnings.simplefilter('ignore', Image.DecompressionBombWarning)
                with open_image(path) as image:
                    pixels = float(image.width * image.height)
        except Image.DecompressionBombError:
            pixels = math.inf
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            raise InputError(f'{name} is no picture that can be read; JPEG, PNG and WebP are') from error
        self.check_pixels(pixels, name)

    def check_pixels(self, pixels: float, name: str) -> None:
        """Refuse an upload of too many pixels; see :meth:`check`."""
        if pixels > self.limits.pixels:
            found = 'far more' if pixels == math.inf else f'{pixels / 1e6:.1f} million'
            raise InputError(f'{name} has {found} pixels; at most {self.limits.pixels / 1e6:g} million are taken')

    def overlay(self, result: UploadResult, score: float, opacity: float) -> np.ndarray:
        """(H, W, 3) bytes: the picture with the prediction over it."""
        return draw(result.prediction.above(score), self.predictor.classes, self.predictor.palette, opacity)

    def legend(self, result: UploadResult, score: float) -> str:
        """HTML: classes with their colours, shares of the picture and scores."""
        prediction, classes = result.prediction.above(score), self.predictor.classes
        rows = []
        if prediction.instances is not None and prediction.panoptic is None:
            for label, value in zip(prediction.instances.labels[:ROWS], prediction.instances.scores):
                rows.append(self.row(label, value, f'{value:.2f}'))
            total, unit = len(prediction.instances), 'object'
        else:
            found = [one for one in prediction.by_class(classes) if 'share' in one]
            for one in found[:ROWS]:
                sure = f'sure {one["certainty"]:.2f}' if 'certainty' in one else ''
                rows.append(self.row(one['index'], one['share'], f'{100 * one["share"]:.1f} %', sure))
            total, unit = len(found), 'class'
        plural = '' if total == 1 else 'es' if unit == 'class' else 's'
        more = f'<p class="mmseq-more">and {total - len(rows)} more</p>' if total > len(rows) else ''
        height, width = result.size
        head = f'<h3>{total or "No"} {unit}{plural}</h3>'
        facts = f'<p class="mmseq-facts">{escape(result.name)} · {width} × {height} px · {result.seconds:.2f} s</p>'
        return f'{head}{facts}<ul class="mmseq-legend">{"".join(rows)}</ul>{more}'

    def row(self, label: int, part: float, text: str, beside: str = '') -> str:
        """HTML of one row of the legend: a text, and a bar of a length from 0 to 1 with a text beside it."""
        colour = ','.join(map(str, self.predictor.palette[label]))
        return (
            f'<li><i style="background:rgb({colour})"></i><b>{escape(self.predictor.classes[label])}</b>'
            f'<span>{text}</span><u><s style="width:{100 * part:.1f}%;background:rgb({colour})"></s></u>'
            f'<small>{beside}</small></li>'
        )

    def receptive_field(self, result: UploadResult, level: int, point: tuple[float, float]) -> tuple[np.ndarray, str]:
        """The effective receptive field of the backbone's cell at a point.

        Args:
            result: the picture.
            level: of the backbone.
            point: across and down, in shares of the picture.

        Returns:
            (H, W, 3) bytes, and a sentence.

        Raises:
            InputError: the memory of the GPU does not suffice.
        """
        height, width = result.prepared.data['data_samples'].img_shape[:2]
        inputs = self.predictor.inputs(result.prepared)
        stride = self.strides[level]
        cells = tuple(int(-(-side // stride)) for side in inputs.shape[2:])
        cell = cell_at((point[1] * height, point[0] * width), stride, cells)
        key = (level, *cell)
        if key not in result.fields:
            with reporting_lack_of_memory(result.name):
                found = effective_receptive_field(self.predictor.model, inputs, level, cell)
            # The padding is no part of the picture.
            result.add_field(key, found.cpu().numpy()[:height, :width])
        seen = result.fields[key]
        half, most = (area(torch.from_numpy(seen), share) for share in (0.5, 0.9))
        text = (
            f'Stride {stride:g}: half of what this cell reacts to lies on {100 * half.of_image:.2g} % of the picture, '
            f'as much as a square of {half.side:.0f} px; nine tenths on {100 * most.of_image:.2g} %, '
            f'{most.side:.0f} px. The model sees {width} × {height} px.'
        )
        middle = ((cell[1] + 0.5) * stride / width, (cell[0] + 0.5) * stride / height)
        return draw_field(result.prediction.picture, seen, middle), text


@contextmanager
def reporting_lack_of_memory(name: str) -> Iterator[None]:
    """Turn a lack of GPU memory into an InputError, which the page shows as one line."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise InputError(f'{name} is too large for the memory of the GPU; try a smaller picture') from error


def level_strides(model: nn.Module) -> Sequence[float]:
    """Pixels per cell of the backbone's levels, as it declares them, or as its maps of a square say."""
    declared = getattr(model.backbone, 'out_strides', None)
    if declared:
        return declared
    device = next(model.parameters()).device
    square = torch.zeros(1, getattr(model.backbone, 'in_channels', 3), 128, 128, device=device)
    with torch.no_grad():
        maps = extractor(model, after_neck=False)(square)
    return [stride_of(square.shape[2:], tuple(found.shape[2:])) for found in maps]


def in_display_size(prepared: Prepared) -> Prepared:
    """The picture resized for the page, with a prediction in that size, whatever size the file has.

    Probabilities of 150 classes, or the masks of 100 instances, on the 40 million pixels of a photograph would take
    more memory than there is.
    """
    height, width = prepared.picture.shape[:2]
    factor = min(max(max(height, width), MIN_SIDE), MAX_SIDE) / max(height, width)
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    sample = deepcopy(prepared.data['data_samples'])
    across, down = sample.metainfo.get('scale_factor', (1.0, 1.0))
    # Upstream's heads resize their results to ori_shape by these.
    factors = (across * width / size[1], down * height / size[0])
    sample.set_metainfo(dict(ori_shape=size, scale_factor=factors))
    smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    picture = cv2.resize(prepared.picture, size[::-1], interpolation=smooth)
    return Prepared(picture, dict(prepared.data, data_samples=sample))
