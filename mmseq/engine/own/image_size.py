"""The size of images in a config: all sizes of its pipelines and its model change together, in one ratio."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from mmengine.config import Config

from mmseq.datasets.checks.coco_file import read_json
from mmseq.datasets.checks.findings import spaced
from mmseq.datasets.checks.images import UNREADABLE
from mmseq.datasets.formats import open_image
from mmseq.datasets.own.card import Card
from mmseq.engine.own.data import steps
from mmseq.errors import InputError
from mmseq.model.shape import size_divisor
from mmseq.nested import walk

# Sizes of pipelines' steps, in pixels: numbers, pairs and lists of pairs.
OF_STEPS = ('scale', 'scales', 'img_scale', 'crop_size', 'max_size', 'size', 'border')
# Derived sizes are multiples of this, the largest stride of most models.
STEP = 32
# Of configs for generated images of 160 px: photographs show next to nothing at that size.
LEAST = 320
# So many images tell the usual size.
SAMPLE = 200


def config_size(cfg: Config) -> int:
    """The shorter side of a segmentor's training crop, or of the scale that a detector tests at.

    Raises:
        InputError: the pipelines name neither.
    """
    sides = crop_of(cfg) or test_scale(cfg)
    if sides is None:
        raise InputError('the config names no size of images that could be changed: no Resize with a scale to test at')
    return min(sides)


def crop_of(cfg: Config) -> tuple[int, ...] | None:
    """The crop that a segmentor is trained on; None if there is none, and for detectors."""
    crops = [step['crop_size'] for step in walk(cfg.get('train_dataloader')) if 'crop_size' in step]
    return tuple(crops[-1]) if crops and cfg.get('default_scope') == 'mmseg' else None


def test_scale(cfg: Config) -> tuple[int, ...] | None:
    """What a config's test pipeline resizes images to fit into: the last pair of numbers; None if there is none."""
    scales = [step.get('scale') for step in walk(cfg.get('test_dataloader')) if 'Resize' in str(step.get('type'))]
    pairs = [tuple(scale) for scale in scales if isinstance(scale, (list, tuple)) and len(scale) == 2]
    return pairs[-1] if pairs else None


def set_image_size(cfg: Config, size: int) -> None:
    """Change every size of a config's images in the ratio of ``size`` to :func:`config_size`.

    Raises:
        InputError: the config names no size, or the new one is below 32.
    """
    if size < STEP:
        raise InputError(f'--image-size {size}: images need at least {STEP} px')
    factor = size / config_size(cfg)

    def scaled(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(scaled(item) for item in value)
        # Fractions are of the image, and numbers below 2 stand for any size.
        return round(value * factor) if isinstance(value, int) and abs(value) > 1 else value

    for step in steps(cfg):
        change(step, OF_STEPS, scaled)
    change_model(cfg, scaled)


def change(node: dict[str, Any], keys: tuple[str, ...], scaled: Callable[[Any], Any]) -> None:
    """Scale the entries of a dict that it has."""
    for key in keys:
        if node.get(key) is not None:
            node[key] = scaled(node[key])


def change_model(cfg: Config, scaled: Callable[[Any], Any]) -> None:
    """Scale what a model pads batches to, up to whole strides, and its sliding windows."""
    stride = size_divisor(cfg)
    stride = stride if stride > 1 else STEP

    def whole(sides: Any) -> Any:
        return type(sides)(-(-side // stride) * stride for side in sides)

    preprocessor = cfg.model.get('data_preprocessor') or {}
    for node in [preprocessor, *(preprocessor.get('batch_augments') or [])]:
        change(node, ('size', 'random_size_range'), lambda value: whole(scaled(value)))
    if preprocessor.get('size') and (crop := crop_of(cfg)):
        # Of the crop itself, whose whole strides it was before.
        preprocessor['size'] = whole(crop)
    change(cfg.model.get('test_cfg') or {}, ('crop_size', 'stride'), scaled)


def fitting_size(cfg: Config, card: Card) -> int | None:
    """The size at which an image of the usual size is not enlarged, at most the config's own; None if that is it.

    Configs for small generated images go up to ``LEAST`` instead.
    """
    own, scale = config_size(cfg), test_scale(cfg)
    width, height = usual_size(card)
    short, long = sorted((width, height))
    ratio = min(max(scale) / long, min(scale) / short) if scale else own / short
    whole = own / ratio
    fitting = max(STEP, STEP * math.floor(min(whole, max(own, LEAST)) / STEP))
    # A config's own size stays where only rounding would change it.
    return None if fitting == own or (fitting < own <= whole) else fitting


def usual_size(card: Card) -> tuple[float, float]:
    """The median width and height of the images to train on.

    Raises:
        InputError: there is none.
    """
    sizes = sizes_in_files(card) if card.task == 'semantic' else sizes_in_json(card.train.labels)
    if not sizes:
        raise InputError(f'{card.train.images}: there is no image to train on that can be read; import the data again')
    return median(width for width, _ in sizes), median(height for _, height in sizes)


def sizes_in_json(path: Path) -> list[tuple[float, float]]:
    """Width and height of the images of a COCO file."""
    images = read_json(str(path)).get('images')
    rows = [row for row in images if isinstance(row, dict)] if isinstance(images, list) else []
    sizes = [(row.get('width'), row.get('height')) for row in rows]
    return [(w, h) for w, h in sizes if isinstance(w, (int, float)) and isinstance(h, (int, float)) and min(w, h) > 0]


def sizes_in_files(card: Card) -> list[tuple[float, float]]:
    """Width and height of some of the images in a folder."""
    sizes: list[tuple[float, float]] = []
    for name in spaced(image_files(card), SAMPLE):
        try:
            with open_image(name) as image:
                sizes.append(image.size)
        except UNREADABLE:
            # The check of the data names it.
            continue
    return sizes


def image_files(card: Card) -> list[str]:
    """The images to train on of a card of label maps, sorted."""
    return sorted(
        os.path.join(folder, name)
        for folder, _, files in os.walk(card.train.images, followlinks=True)
        for name in files
        if name.endswith(card.train.image_suffix)
    )
