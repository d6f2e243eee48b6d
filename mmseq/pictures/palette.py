"""Names and colours of a model's classes, those of its data set or, where it has none, ones of our own."""

import colorsys
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from torch import nn

from mmseq.config import LOADERS, read_metainfo
from mmseq.datasets.nesting import dataset_class, loader_datasets

# Of a turn: hues one after another stay far apart, however many there are.
GOLDEN = 0.618034
# Names of what is no object, and their colours: grey, since most pixels of many images have them.
BACKGROUNDS = ('background', 'bg', 'void', 'other', 'others', 'unlabelled', 'unlabeled', 'none', 'ignore')
NEUTRALS = ((60, 60, 66), (110, 110, 116), (160, 160, 166))


def class_colours(model: nn.Module) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the classes and (classes, 3) bytes, red first, of a model with ``dataset_meta``."""
    meta = getattr(model, 'dataset_meta', None) or {}
    names = tuple(map(str, meta.get('classes') or [f'class {i}' for i in range(head_classes(model))]))
    if text := shortage(meta.get('palette'), len(names)):
        print_log(text, 'current', logging.WARNING)
    return names, palette(names, meta.get('palette'))


def head_classes(model: nn.Module) -> int:
    """The largest number of classes of the model's heads."""
    heads = [part for name, part in model.named_children() if name != 'backbone']
    counts = [getattr(module, 'num_classes', 0) for head in heads for module in head.modules()]
    return max((count for count in counts if isinstance(count, int)), default=1)


def complete_palettes(cfg: Config) -> list[str]:
    """Give each data set of a config a colour for every class, as a tuple.

    mmseg refuses fewer colours. mmdet's visualiser fails on fewer, and on colours that are lists, as in data cards and
    JSON.

    Returns:
        What was done, in lines that differ.
    """
    texts: dict[str, None] = {}
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        for loader in LOADERS:
            for _, dataset in loader_datasets(cfg.get(loader), loader):
                # A type that nobody knows is found out where it is built.
                meta = {**getattr(dataset_class(dataset), 'METAINFO', {}), **(dataset.get('metainfo') or {})}
                if not isinstance(meta.get('palette'), (list, tuple)):
                    continue
                classes = read_metainfo(dict(classes=meta.get('classes')))['classes'] or ()
                colours = meta['palette']
                if text := shortage(colours, len(classes)):
                    texts[text] = None
                    colours = palette(classes, colours).tolist()
                if any(isinstance(colour, list) for colour in colours):
                    colours = [tuple(colour) for colour in colours]
                    dataset['metainfo'] = dict(dataset.get('metainfo') or {}, palette=colours)
    return list(texts)


def shortage(given: Any, count: int) -> str | None:
    """A line about a palette with fewer colours than there are classes; None of one that has all, or of none."""
    if not isinstance(given, (list, tuple)) or not 0 < len(given) < count:
        return None
    return (
        f'metainfo.palette has {len(given)} colours for {count} classes: the other {count - len(given)} get colours of '
        "mmseq's; give it one for each class to choose them"
    )


def palette(names: Sequence[str], given: Sequence[Sequence[int]] | Any = None) -> np.ndarray:
    """(names, 3) bytes: the given colours as far as they are, then ones of our own, dark grey for a background."""
    # Upstream's data sets also have words here, as 'random'.
    given = [tuple(colour) for colour in given] if isinstance(given, (list, tuple)) else []
    greys = iter(NEUTRALS)
    own = [(next(greys, None) if plain(name) in BACKGROUNDS else None) or own_colour(i) for i, name in enumerate(names)]
    return np.array([*given[: len(names)], *own[len(given) :]], np.uint8).reshape(-1, 3)


def plain(name: str) -> str:
    """A name as one of ``BACKGROUNDS`` is written: labelling tools also write ``_background_``."""
    return name.lower().strip('_- ')


def own_colour(number: int) -> tuple[int, int, int]:
    """A colour that is far from those of the numbers beside it."""
    saturation, value = ((0.75, 0.95), (0.55, 0.9), (0.85, 0.7))[number % 3]
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(number * GOLDEN % 1, saturation, value))
    return red, green, blue
