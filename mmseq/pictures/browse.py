"""What a model gets to see: samples of a config's data behind its pipeline, with their annotations drawn."""

import logging
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DATASETS, DefaultScope

from mmseq.datasets.data_root import advice
from mmseq.datasets.nesting import innermost_configs
from mmseq.errors import InputError
from mmseq.pictures.displayable import displayable
from mmseq.pictures.drawing import Chip, draw_mask, fill, line_width, name_areas, write
from mmseq.pictures.palette import complete_palettes, palette
from mmseq.pictures.prediction import box_of

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

SPLITS = ('train', 'val', 'test')
OPACITY = 0.5
# Pictures of half so many pixels a side, and less, are drawn enlarged.
SMALL = 480
# Of crowds and other instances that neither training nor evaluation counts.
GREY = np.array((150, 150, 150), np.uint8)


@dataclass(frozen=True)
class Objects:
    """Annotated instances.

    Args:
        labels: (N,) places in the classes.
        boxes: (N, 4): left, top, right, bottom in pixels; those of the masks where there are no boxes.
        masks: (N, H, W) booleans, or None.
    """

    labels: np.ndarray
    boxes: np.ndarray
    masks: np.ndarray | None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Sample:
    """What a model is given in training, or compared with in evaluation; None is what its task does not have.

    Args:
        name: of the image file, without folder and suffix.
        picture: (H, W, 3) bytes to look at, red first, in the size of the annotations; in evaluation these are not
            resized, so that the picture is brought back to its own size.
        objects: annotated instances.
        ignored: instances that neither training nor evaluation counts, such as crowds.
        labels: (H, W) places in the classes; values behind the last are ignored.
    """

    name: str
    picture: np.ndarray
    objects: Objects | None
    ignored: Objects | None
    labels: np.ndarray | None


@dataclass
class Counts:
    """What was in some samples, by class: samples that show it, instances, pixels."""

    images: Counter[int] = field(default_factory=Counter)
    instances: Counter[int] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)
    ignored: int = 0

    def add(self, sample: Sample) -> None:
        """Count one more."""
        shown: set[int] = set()
        instances = None if sample.objects is None else sample.objects.labels
        for name, values in (('instances', instances), ('pixels', sample.labels)):
            if values is not None:
                found = dict(zip(*(part.tolist() for part in np.unique(values, return_counts=True))))
                getattr(self, name).update(found)
                shown |= set(found)
        self.images.update(shown)
        self.ignored += len(sample.ignored or ())

    def rows(self, classes: Sequence[str]) -> list[dict[str, Any]]:
        """One for each class, those that do not occur as well, and only of what the task has.

        Pixels are shares of those that belong to a class.
        """
        total = sum(self.pixels[index] for index in range(len(classes)))
        rows = []
        for index, name in enumerate(classes):
            row = dict(index=index, name=name, images=self.images[index])
            if self.instances:
                row['instances'] = self.instances[index]
            if total:
                row['of_pixels'] = self.pixels[index] / total
            rows.append(row)
        return rows


class Browser:
    """A split of a config's data, for looking at.

    Args:
        cfg: whole config.
        split: ``train``, ``val`` or ``test``.
        raw: leave out everything between loading and packing, such as augmentations and resizing.

    Attributes:
        classes: their names.
        palette: (classes, 3) bytes, a colour for each.

    Raises:
        InputError: the config has no such data, or they cannot be read.
    """

    def __init__(self, cfg: Config, split: str, raw: bool = False) -> None:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            raise InputError(f'config {cfg.filename}: has no {split}_dataloader')
        scope = cfg.get('default_scope', 'mmengine')
        for text in complete_palettes(cfg):
            print_log(text, 'current', logging.WARNING)
        config = raw_dataset(loader.dataset, scope) if raw else deepcopy(loader.dataset)
        with DefaultScope.overwrite_default_scope(scope):
            try:
                self.dataset: BaseDataset = DATASETS.build(config)
            except FileNotFoundError as error:
                what = advice(cfg, error.filename or '')
                raise InputError(f'{split} data: {str(error).splitlines()[0]}; {what}') from error
        meta = self.dataset.metainfo
        self.classes = tuple(meta.get('classes') or ())
        self.palette = palette(self.classes, meta.get('palette'))
        steps = [step['type'] for step in innermost(config)['pipeline']]
        self.of_bytes = steps[0].endswith('LoadImageFromFile')
        # In evaluation, what is true is not resized with the image.
        annotating = [i for i, step in enumerate(steps) if 'Annotation' in step]
        self.own_size = bool(annotating) and any('Resize' in step for step in steps[: annotating[0]])

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """A sample; behind a pipeline with augmentations each time another.

        Raises:
            InputError: its files cannot be read.
        """
        try:
            data = self.dataset[index]
        except (OSError, AssertionError, cv2.error) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f'sample {index}: {reason}; mmseq check-data --all finds all that is damaged') from error
        found = data['data_samples']
        picture = displayable(data['inputs'].numpy().transpose(1, 2, 0), self.of_bytes)
        labels = None
        if 'gt_sem_seg' in found:
            # mmseg's name and mmdet's.
            labels = found.gt_sem_seg.get('data', found.gt_sem_seg.get('sem_seg'))[0].numpy()
        objects, ignored = (read_objects(found.get(name)) for name in ('gt_instances', 'ignored_instances'))
        if self.own_size and (own := tuple(found.metainfo['ori_shape'][:2])) != picture.shape[:2]:
            picture = cv2.resize(picture, own[::-1], interpolation=cv2.INTER_LINEAR)
        name = PurePath(str(found.metainfo.get('img_path', index))).stem
        return Sample(name, picture, objects, ignored, labels)

    def draw(self, sample: Sample) -> np.ndarray:
        """See :func:`draw_sample`; small ones are enlarged, so that names fit."""
        sample = enlarge(sample, max(1, SMALL // max(sample.picture.shape[:2])))
        return draw_sample(sample, self.classes, self.palette)


def draw_sample(sample: Sample, classes: Sequence[str], palette: np.ndarray) -> np.ndarray:
    """The picture of a sample with its boxes, masks and label map, and the classes' names; crowds in grey.

    Args:
        sample: see there.
        classes: names.
        palette: (classes, 3) bytes.

    Returns:
        (H, W, 3) bytes.
    """
    canvas, chips, objects = sample.picture.copy(), [], sample.objects
    if sample.labels is not None:
        known = (sample.labels >= 0) & (sample.labels < len(classes))
        labels = np.where(known, sample.labels, len(classes)).astype(np.intp)
        fill(canvas, labels, labels, palette, OPACITY)
        # What instances name themselves is named once.
        named = np.where(np.isin(labels, objects.labels), len(classes), labels) if objects else labels
        chips += name_areas(named, classes, palette)
    opacity = OPACITY if sample.labels is None else 0
    if sample.ignored is not None:
        chips += [draw_object(canvas, sample.ignored, i, 'ignored', GREY, opacity) for i in range(len(sample.ignored))]
    if objects is not None:
        for i, label in enumerate(objects.labels):
            chips.append(draw_object(canvas, objects, i, classes[label], palette[label], opacity))
    return write(canvas, chips)


def enlarge(sample: Sample, times: int) -> Sample:
    """A sample whose pixels are squares of so many."""

    def larger(objects: Objects | None) -> Objects | None:
        if objects is None:
            return None
        masks = None if objects.masks is None else objects.masks.repeat(times, 1).repeat(times, 2)
        return replace(objects, boxes=objects.boxes * times, masks=masks)

    return Sample(
        name=sample.name,
        picture=sample.picture.repeat(times, 0).repeat(times, 1),
        objects=larger(sample.objects),
        ignored=larger(sample.ignored),
        labels=None if sample.labels is None else sample.labels.repeat(times, 0).repeat(times, 1),
    )


def draw_object(canvas: np.ndarray, objects: Objects, i: int, text: str, colour: np.ndarray, opacity: float) -> Chip:
    """Draw one instance; returns its name, still to be written."""
    width = line_width(canvas)
    if objects.masks is not None:
        draw_mask(canvas, objects.masks[i], colour, opacity, width)
    left, top, right, bottom = (round(float(value)) for value in objects.boxes[i])
    cv2.rectangle(canvas, (left, top), (right, bottom), colour.tolist(), width, cv2.LINE_AA)
    return Chip(text, colour, [(left, top, 0, 1), (left, top, 0, 0), (right, top, 1, 1), (left, bottom, 0, 0)])


def read_objects(instances: Any) -> Objects | None:
    """mmdet's annotations in numpy; None of a segmentor's samples."""
    if instances is None or 'labels' not in instances:
        return None
    masks = instances.masks.to_ndarray().astype(bool) if 'masks' in instances else None
    if 'bboxes' in instances:
        # Boxes are tensors, or a class of mmdet's around one.
        boxes = getattr(instances.bboxes, 'tensor', instances.bboxes).numpy()
    else:
        # mmdet's annotations have one or the other.
        assert masks is not None
        boxes = np.array([box_of(mask) for mask in masks], np.float32).reshape(-1, 4)
    return Objects(instances.labels.numpy(), boxes, masks)


def raw_dataset(config: dict[str, Any], scope: str) -> dict[str, Any]:
    """The innermost data set of a config, with a pipeline that only loads and packs."""
    config = deepcopy(innermost(config))
    steps = [step for step in config['pipeline'] if 'Load' in step['type']]
    packing = [step for step in config['pipeline'] if 'Pack' in step['type']]
    default = dict(type='PackSegInputs' if scope == 'mmseg' else 'PackDetInputs')
    config['pipeline'] = [*steps, packing[-1] if packing else default]
    return config


def innermost(config: dict[str, Any]) -> dict[str, Any]:
    """The data set with files, in those that repeat, join or mix others; the first of several.

    Raises:
        InputError: it has no pipeline.
    """
    config = next(innermost_configs(config))[1]
    if not config.get('pipeline'):
        raise InputError(f'data set {config.get("type")}: has no pipeline')
    return config
