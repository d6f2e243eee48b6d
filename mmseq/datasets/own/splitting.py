"""Which images are for training and which for validation: never one in both, nor two of the same content."""

import hashlib
import io
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmseq.datasets.own.card import PARTS
from mmseq.datasets.own.source import Labelled, Notes
from mmseq.errors import InputError

# Roboflow calls the augmented copies of one picture PICTURE.rf.DIGEST.
COPY = re.compile(r'\.rf\.[0-9A-Za-z]+$')
CHUNK = 1 << 20
# Draws of which the one is taken whose classes are spread most evenly.
TRIES = 64
# Above so many images any draw is even.
MANY = 5000


def digests(images: Sequence[Labelled]) -> dict[Path, str]:
    """A name for the content of each image file; only files of one length are read."""
    sizes = {one.image: one.image.stat().st_size if one.embedded is None else len(one.embedded) for one in images}
    shared = Counter(sizes.values())
    alike = [one for one in images if shared[sizes[one.image]] > 1]
    return {path: f'{size} bytes' for path, size in sizes.items()} | {one.image: _digest(one) for one in alike}


def split(images: Sequence[Labelled], share: float, seed: int, notes: Notes) -> dict[str, list[Labelled]]:
    """The images of each part.

    Parts that the source has are kept, and images that are in two of them are left out of the one that is trained on.
    Otherwise images are drawn, copies of one picture together.

    Args:
        images: all of them, each with its part or None.
        share: of the images for validation, where that has to be drawn.
        seed: of the draw.
        notes: what was left out.

    Raises:
        InputError: too few images.
    """
    given = {image.part for image in images}
    content = digests(images)
    if len(given) == 1 or not given & {'train', None}:
        # One part alone is all there is.
        images = [replace(image, part=None) for image in images]
    elif None in given:
        notes.add('images in no part, taken for training', count=sum(image.part is None for image in images))
        images = [image if image.part else replace(image, part='train') for image in images]
    images = _without_leaks(images, content, notes)
    open_part = [image for image in images if image.part in (None, 'train')]
    if any(image.part == 'val' for image in images):
        parts = {part: [image for image in images if image.part == part] for part in PARTS}
    else:
        parts = _drawn(open_part, content, share, seed, notes)
        parts['test'] = [image for image in images if image.part == 'test']
    if not any(image.objects for image in parts['test']) and any(image.objects for image in images):
        _drop_test(parts, notes)
    return {part: rows for part, rows in parts.items() if rows}


def _drop_test(parts: dict[str, list[Labelled]], notes: Notes) -> None:
    if parts['test']:
        notes.add('test images without any object, left out', count=len(parts['test']))
        parts['test'] = []


def _without_leaks(images: Sequence[Labelled], content: dict[Path, str], notes: Notes) -> list[Labelled]:
    """Without the images whose content a part for evaluation has as well."""
    kept: list[Labelled] = []
    seen: dict[str, str] = {}
    # Test figures count most, and a training loses least.
    for part in ('test', 'val', 'train', None):
        for image in (image for image in images if image.part == part):
            other = seen.setdefault(content[image.image], part or '')
            if part is not None and other != part:
                notes.add(f'images of {part} that {other} has as well, left out of {part}', image.image.name)
            else:
                kept.append(image)
    return kept


def _drawn(
    images: Sequence[Labelled], content: dict[Path, str], share: float, seed: int, notes: Notes
) -> dict[str, list[Labelled]]:
    groups = _groups(images, content, notes)
    if len(groups) < 2:
        raise InputError(
            f'{len(groups)} image with labels that can be used; give at least two, to train and to validate'
        )
    draw = random.Random(seed)
    tries = [_try(draw.sample(groups, len(groups)), share) for _ in range(TRIES if len(groups) <= MANY else 1)]
    val, train = min(tries, key=lambda halves: _unevenness(halves[0], halves[1], share))
    return dict(train=train, val=val)


def _try(groups: Sequence[list[Labelled]], share: float) -> tuple[list[Labelled], list[Labelled]]:
    """The first of the groups as a share of all images, at least one of them, and the others."""
    wanted = max(1, round(share * sum(map(len, groups))))
    val = list(groups[0])
    for k, group in enumerate(groups[1:-1], 1):
        if len(val) >= wanted:
            return val, [image for group in groups[k:] for image in group]
        val += group
    return val, groups[-1]


def _unevenness(val: Sequence[Labelled], train: Sequence[Labelled], share: float) -> float:
    """How far the shares of all classes are from the one that is wanted; classes that training lacks count most."""
    inside, outside = (Counter(one.name for image in images for one in image.objects) for images in (val, train))
    apart = [abs(inside[name] / (inside[name] + outside[name]) - share) for name in inside | outside]
    # Without any object nothing can be measured, or learnt.
    bare = 3 * len(apart) * (not inside or not outside)
    return sum(apart) + sum(not outside[name] for name in inside) + bare


def _groups(images: Sequence[Labelled], content: dict[Path, str], notes: Notes) -> list[list[Labelled]]:
    """Images of one content, and augmented copies of one picture, together."""
    by_content: dict[str, str] = {}
    groups: dict[str, list[Labelled]] = {}
    for image in images:
        name = COPY.sub('', str(image.image.with_suffix('')))
        name = by_content.setdefault(content[image.image], name)
        groups.setdefault(name, []).append(image)
    twice = sum(count - 1 for count in Counter(content[image.image] for image in images).values())
    if twice:
        notes.add('images of the same content as another, kept in one part with it', count=twice)
    if copies := len(images) - len(groups) - twice:
        notes.add('augmented copies of one picture, kept in one part with it', count=copies)
    return list(groups.values())


def _digest(image: Labelled) -> str:
    found = hashlib.blake2b()
    with image.image.open('rb') if image.embedded is None else io.BytesIO(image.embedded) as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()
