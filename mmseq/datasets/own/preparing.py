"""What of a source goes into a card: images that can be read, objects that fit them, classes and the task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmseq.datasets.checks.images import DamagedFileError, in_threads
from mmseq.datasets.formats import open_image
from mmseq.datasets.own import geometry
from mmseq.datasets.own.card import Task
from mmseq.datasets.own.fitting import Look, fitted, fitted_map, look_of
from mmseq.datasets.own.source import Labelled, Notes, Object, Scheme, Source
from mmseq.datasets.own.writing import drawn
from mmseq.errors import InputError

# LabelMe's names for what is around the objects, and for what does not count.
BACKGROUND, IGNORE = frozenset(('_background_', '__background__')), frozenset(('__ignore__',))
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Prepared:
    """What is to be written.

    Args:
        task: of the card.
        classes: of the card.
        images: with objects that fit them.
        palette: of the classes, or empty.
        label_map: gives the classes (H, W) of an image, for semantic segmentation.
    """

    task: Task
    classes: tuple[str, ...]
    images: Sequence[Labelled]
    palette: tuple[Colour, ...]
    label_map: Callable[[Labelled], np.ndarray]


def prepare(source: Source, task: Task | None, classes: Sequence[str]) -> Prepared:
    """Look at all images and decide on the task.

    Args:
        source: what was read.
        task: that the user wants; None: what the labels are.
        classes: of objects, those that the user wants.

    Raises:
        InputError: the labels are not for the task, a class is unknown, or nothing is left.
    """
    looks = _looks(source)
    if source.scheme is not None:
        return _maps(source, source.scheme, looks, task)
    images = [
        fit
        for image in source.images
        if image.image in looks and (fit := fitted(image, looks[image.image], source.notes))
    ]
    names = _wanted(source, images, classes)
    images = [_of_classes(image, {*names, *BACKGROUND, *IGNORE}, source.notes) for image in images]
    _refuse_empty(source, images)
    task = _task(images, task, source)
    if task == 'semantic':
        return _drawn(source, images, names)
    images = [_of_classes(image, set(names), source.notes) for image in images]
    return Prepared(task, tuple(names), images, (), _no_map)


def _looks(source: Source) -> dict[Path, Look]:
    """Size and orientation of each image that can be read."""
    looks, damaged = {}, []
    for image, found in zip(source.images, in_threads(look_of, source.images)):
        if isinstance(found, DamagedFileError):
            damaged.append(found)
            source.notes.add(f'images that cannot be read ({found.kind}), left out', image.image.name)
        else:
            looks[image.image] = found
    if not looks:
        # Other notes are on what is in the labels.
        missing = [line for line in source.notes.lines() if line.startswith('images that')] or ['there are none']
        advice = damaged[0] if damaged else 'give the folder of the images as well'
        raise InputError(f'{source.format}: no image can be read; {"; ".join(missing)}; {advice}')
    return looks


def _refuse_empty(source: Source, images: Sequence[Labelled]) -> None:
    if not any(image.objects for image in images):
        reasons = '; '.join(source.notes.lines()) or 'no object is labelled'
        raise InputError(f'{source.format}, {source.found}: nothing is left to train on: {reasons}')


def _wanted(source: Source, images: Sequence[Labelled], classes: Sequence[str]) -> list[str]:
    """The classes of the card; those that the user names, or all but LabelMe's names for none."""
    if unknown := [name for name in classes if name not in source.classes]:
        listed = ', '.join(map(repr, source.classes[:12]))
        raise InputError(f'class {unknown[0]!r}: the labels have no such class; they have {listed}')
    names = [name for name in source.classes if name not in BACKGROUND | IGNORE]
    used = {one.name for image in images for one in image.objects}
    if unused := [name for name in classes or names if name not in used]:
        source.notes.add('classes without any object', unused[0], len(unused))
    return list(classes or names)


def _of_classes(image: Labelled, names: set[str], notes: Notes) -> Labelled:
    """The image with the objects of these classes."""
    kept = []
    for one in image.objects:
        if one.name in names:
            kept.append(one)
        else:
            notes.add('objects of other classes, left out', f'{one.name} in {image.image.name}')
    return replace(image, objects=kept)


def _task(images: Sequence[Labelled], task: Task | None, source: Source) -> Task:
    """What the labels are for: masks where most objects have one."""
    objects = [one for image in images for one in image.objects if not one.crowd]
    drawn = sum(one.mask is not None for one in objects)
    if task in ('instances', 'semantic') and not drawn:
        raise InputError(
            f'{source.format}, {source.found}: has boxes without masks, nothing for {task}; take --task boxes'
        )
    chosen: Task = task or ('instances' if 2 * drawn > len(objects) else 'boxes')
    if chosen == 'boxes' and task is None and drawn:
        source.notes.add('objects with a mask, of which the box is taken since most have none', count=drawn)
    if chosen != 'boxes' and drawn < len(objects):
        source.notes.add('objects without a mask, whose box is taken as one', count=len(objects) - drawn)
    return chosen


def _drawn(source: Source, images: Sequence[Labelled], names: Sequence[str]) -> Prepared:
    """Label maps of objects, on a background."""
    classes = ('background', *(name for name in names if name != 'background'))
    images = [replace(image, objects=[_with_mask(one) for one in image.objects]) for image in images]
    return Prepared('semantic', classes, images, (), lambda image: drawn(image, classes, source.ordered))


def _with_mask(one: Object) -> Object:
    assert one.box is not None
    name = 'background' if one.name in BACKGROUND else one.name
    return replace(one, name=name, mask=one.mask or [geometry.rectangle(one.box)])


def _maps(source: Source, scheme: Scheme, looks: dict[Path, Look], task: Task | None) -> Prepared:
    if task not in (None, 'semantic'):
        raise InputError(f'{source.format}, {source.found}: tell classes but no objects, nothing for {task}')
    images = []
    for image in source.images:
        if image.image not in looks:
            continue
        look = looks[image.image]
        with open_image(image.labels) as opened:
            size = opened.size
        if size in ((look.width, look.height), look.stored):
            images.append(image)
        else:
            where = f'{image.labels.name}: {size[0]} x {size[1]} for {look.width} x {look.height}'
            source.notes.add('label maps of another size than their image, left out', where)
    if not images:
        raise InputError(f'{source.format}, {source.found}: no pair is left; {"; ".join(source.notes.lines())}')

    def label_map(image: Labelled) -> np.ndarray:
        return fitted_map(scheme.read(image.labels), looks[image.image])

    return Prepared('semantic', tuple(source.classes), images, scheme.palette, label_map)


def _no_map(image: Labelled) -> np.ndarray:
    raise AssertionError('objects have no label map')
