"""Images decoded and resized once, in arrays that are mapped into memory: small ones are trained on from these.

A packed data set is a folder, written whole or not at all:

    packed.json                    class names, side, source, damaged files
    train.npy, val.npy             (N, side, side, 3) bytes, red first
    train_labels.npy, ...          (N,) numbers of classes
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image, ImageOps

from mmseq.datasets.checks.images import UNREADABLE, in_threads
from mmseq.datasets.classes.listing import Images
from mmseq.datasets.classes.sources import Classes, Part
from mmseq.datasets.formats import open_image
from mmseq.errors import InputError, first_line
from mmseq.files import whole_folder, write_json

NOTE = 'packed.json'
PARTS: tuple[Part, ...] = get_args(Part)
# Of damaged files, named in a message.
NAMED = 3
# A share of damaged files from which there is more wrong than some files.
MOST_DAMAGED = 0.1
SECONDS_BETWEEN_WORDS = 10
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Packed:
    """What a packed data set says of itself.

    Args:
        root: its folder.
        names: of the classes.
        side: of the images, in pixels.
        counts: images of each part.
        fingerprint: of the files that it was made of.
        damaged: files that were left out, with the reason.
    """

    root: Path
    names: tuple[str, ...]
    side: int
    counts: dict[str, int]
    fingerprint: str
    damaged: tuple[str, ...]


def is_packed(root: str | Path) -> bool:
    """Whether a folder is a packed data set."""
    return (Path(root) / NOTE).is_file()


def read_packed(root: str | Path) -> Packed:
    """What a packed data set says of itself.

    Raises:
        InputError: its note is none.
    """
    path = Path(root) / NOTE
    try:
        note = json.loads(path.read_text(encoding='utf-8'))
        damaged = tuple(note['damaged'])
        return Packed(path.parent, tuple(note['classes']), note['side'], note['images'], note['fingerprint'], damaged)
    except KeyError as error:
        raise InputError(f'packed data {path}: has no {error}; remove the folder and pack again') from error
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f'packed data {path}: {first_line(error)}; remove the folder and pack again') from error


def fingerprint(classes: Classes, side: int) -> str:
    """A digest of the names, sizes and labels of all files, and of the side."""
    digest = hashlib.blake2b(json.dumps([side, classes.names]).encode(), digest_size=16)
    for part in PARTS:
        images = classes.part(part)
        for path, label in zip(images.paths, images.labels):
            size = os.stat(path).st_size if os.path.exists(path) else -1
            digest.update(f'{part}/{path}/{size}/{label}\n'.encode())
    return digest.hexdigest()


def pack(classes: Classes, side: int, root: str | Path, tell: Tell = print) -> Packed:
    """Pack a data set, unless the folder holds the same one already.

    Args:
        classes: the images.
        side: each one's shorter side is resized to it, and the middle of the other kept.
        root: folder to write; an earlier packed data set there is replaced.
        tell: gets lines of progress.

    Raises:
        InputError: the folder holds something else, or more than a tenth of the files is damaged.
    """
    root, mark = Path(root), fingerprint(classes, side)
    if is_packed(root) and (found := read_packed(root)).fingerprint == mark:
        tell(f'packed data of {side} px found in {root}')
        return found
    if root.exists() and (not root.is_dir() or any(root.iterdir())) and not is_packed(root):
        raise InputError(f'--pack {root}: is there, and no packed data; name another folder')
    with whole_folder(root) as draft:
        damaged: list[str] = []
        counts = {part: _write(classes.part(part), part, side, draft, damaged, tell) for part in PARTS}
        _check_damage(damaged, classes)
        note = dict(classes=classes.names, side=side, images=counts, fingerprint=mark, damaged=damaged)
        write_json(draft / NOTE, note)
    tell(f'packed {counts["train"]} + {counts["val"]} images of {side} px into {root}{_words(damaged)}')
    return read_packed(root)


def _words(damaged: list[str]) -> str:
    if not damaged:
        return ''
    more = f' and {len(damaged) - NAMED} more in {NOTE}' if len(damaged) > NAMED else ''
    return f'; {len(damaged)} damaged files left out: {"; ".join(damaged[:NAMED])}{more}'


def _check_damage(damaged: list[str], classes: Classes) -> None:
    count = sum(len(classes.part(part).paths) for part in PARTS)
    if len(damaged) > MOST_DAMAGED * count:
        raise InputError(f'data: {len(damaged)} of {count} files are damaged, first {damaged[0]}; fetch them again')


def _write(images: Images, part: Part, side: int, root: Path, damaged: list[str], tell: Tell) -> int:
    """Write a part's arrays; gives how many images are in them."""
    whole: list[int] = []
    labels: list[int] = []
    count, told = len(images.paths), time.monotonic()
    pixels = np.lib.format.open_memmap(root / 'draft.npy', 'w+', np.uint8, (count, side, side, 3))
    for i, found in enumerate(in_threads(partial(_decoded, side), images.paths)):
        if isinstance(found, str):
            damaged.append(found)
            continue
        pixels[len(whole)] = found
        whole.append(i)
        labels.append(images.labels[i])
        if time.monotonic() - told > SECONDS_BETWEEN_WORDS:
            told = time.monotonic()
            tell(f'packing {part}: {i + 1} of {count} images')
    pixels.flush()
    _keep(root, part, len(whole), pixels)
    np.save(root / f'{part}_labels.npy', np.array(labels, np.int64))
    return len(whole)


def _keep(root: Path, part: Part, count: int, pixels: Any) -> None:
    """Give the array its name, without the places of the damaged."""
    if count == len(pixels):
        (root / 'draft.npy').rename(root / f'{part}.npy')
        return
    kept = np.lib.format.open_memmap(root / f'{part}.npy', 'w+', np.uint8, (count, *pixels.shape[1:]))
    for start in range(0, count, 1024):
        kept[start : start + 1024] = pixels[start : min(start + 1024, count)]
    kept.flush()
    (root / 'draft.npy').unlink()


def _decoded(side: int, path: str) -> np.ndarray | str:
    """The pixels of a file, (side, side, 3), or why there are none."""
    try:
        with open_image(path) as image:
            # JPEGs are decoded at a fraction of their size where that is enough.
            image.draft('RGB', (side, side))
            return np.asarray(square(ImageOps.exif_transpose(image).convert('RGB'), side))
    except UNREADABLE as error:
        return f'{path}: {first_line(error)}'


def square(image: Image.Image, side: int) -> Image.Image:
    """The middle of an image whose shorter side is resized to ``side``."""
    width, height = image.size
    if (width, height) == (side, side):
        return image
    scale = side / min(width, height)
    left, top = (width - side / scale) / 2, (height - side / scale) / 2
    box = (left, top, left + side / scale, top + side / scale)
    return image.resize((side, side), Image.Resampling.BICUBIC, box=box)
