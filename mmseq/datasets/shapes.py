"""The embedded data set: generated scenes of shapes, as COCO instances and as ADE20K label maps of the same pictures.

    <root>/shapes.json                                           manifest: version, seed, counts, size, digest
    <root>/coco/{train,val}2017/000000000001.png
    <root>/coco/annotations/instances_{train,val}2017.json
    <root>/ade/ADEChallengeData2016/images/{training,validation}/000000000001.png
    <root>/ade/ADEChallengeData2016/annotations/{training,validation}/000000000001.png

Upstream's `CocoDataset` reads the first with `metainfo=dict(classes=SHAPES_CLASSES)`, upstream's `BaseSegDataset` the
second with `metainfo=dict(classes=SEG_CLASSES), img_suffix='.png', reduce_zero_label=True`. (Its `ADE20KDataset` takes
no classes but ADE20K's.) In both layouts a picture has the same name, and image ids count from 1 in each half.

Label maps hold 0 for ignore (the gaps within a crowd), 1 for background and 2 + k for SHAPES_CLASSES[k], so that after
`reduce_zero_label` the values index SEG_CLASSES. Masks are the visible parts: disjoint, and equal to the label map
pixel by pixel. A mask without holes is written as polygons, one with holes as compressed RLE, a crowd as uncompressed
RLE as in COCO's own files.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from mmseq.datasets.shapes_scene import SHAPES_CLASSES, Instance, Scene, draw_scene
from mmseq.errors import InputError
from mmseq.files import whole_folder, write_json, write_png

__all__ = [
    'PALETTE',
    'SEG_CLASSES',
    'SEG_PALETTE',
    'SHAPES_CLASSES',
    'Generated',
    'content_digest',
    'draw_contact_sheet',
    'generate',
]

# What a segmentor predicts: label value less one, once `reduce_zero_label` has taken ignore away.
SEG_CLASSES = ('background', *SHAPES_CLASSES)
# One colour per class of SHAPES_CLASSES, RGB.
PALETTE = (
    (230, 60, 60),
    (60, 120, 230),
    (70, 180, 75),
    (250, 200, 40),
    (150, 70, 200),
    (255, 130, 30),
    (60, 200, 210),
    (235, 80, 190),
)
# One colour per class of SEG_CLASSES, RGB.
SEG_PALETTE = ((60, 60, 66), *PALETTE)

# Goes up whenever the same seed no longer gives the same files.
VERSION = 1
MANIFEST = 'shapes.json'
# COCO's name, ADE20K's name of each half; the position seeds its scenes.
HALVES = (('train2017', 'training'), ('val2017', 'validation'))
ADE = Path('ade', 'ADEChallengeData2016')
# Smallest and largest side in px that the scenes are made for.
SIDES = (64, 2048)
# Every tenth picture, from the fourth on, has a crowd.
CROWD_EVERY, CROWD_FROM = 10, 3


class Generated(NamedTuple):
    """What `generate` did: the folder, its manifest, and whether it was written or found as asked for."""

    root: Path
    manifest: dict[str, Any]
    written: bool


def generate(
    root: str | os.PathLike[str],
    train: int = 400,
    val: int = 100,
    seed: int = 0,
    size: tuple[int, int] = (112, 176),
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Generated:
    """Write the data set under `root`, all of it or nothing.

    `train` and `val` count pictures, `size` is the smallest and the largest side in px. Picture i of a half depends
    only on the seed, the half, i and the size, so a larger set contains the smaller one. `progress(done, total)` is
    called after each picture. A root that holds the same set already is left as it is.

    Raises InputError for impossible options, for a root with another set unless `overwrite` is given, and always for a
    folder that is not a shapes data set.
    """
    _check_options(train, val, seed, size)
    target = Path(root).resolve()
    wanted = {'version': VERSION, 'seed': seed, 'train': train, 'val': val, 'size': list(size)}
    present = _present(target, wanted, overwrite)
    if present is not None:
        return Generated(Path(root), present, False)
    try:
        with whole_folder(target) as fresh:
            manifest = wanted | {'digest': _write(fresh, wanted, progress)}
            write_json(fresh / MANIFEST, manifest)
    except OSError as error:
        raise InputError(f'{root}: cannot be written ({error.strerror}); choose another folder') from error
    return Generated(Path(root), manifest, True)


def content_digest(root: str | os.PathLike[str]) -> str:
    """SHA-256 over every pixel, label and annotation under `root`, independent of how PNG compresses them.

    Equal to the manifest's `digest` as long as the files are as they were written.
    """
    root = Path(root)
    total = hashlib.sha256()
    for coco_name, ade_name in HALVES:
        for path in sorted((root / 'coco' / coco_name).iterdir()):
            for file in (path, root / ADE / 'annotations' / ade_name / path.name):
                with Image.open(file) as image:
                    total.update(_bytes_of(np.asarray(image)))
        total.update((root / 'coco' / 'annotations' / f'instances_{coco_name}.json').read_bytes())
    return total.hexdigest()


def draw_contact_sheet(
    root: str | os.PathLike[str], path: str | os.PathLike[str], n: int = 12, columns: int = 4
) -> None:
    """Save a picture of the first `n` validation scenes under `root`, each beside its labels, as an image at `path`."""
    folder = Path(root) / ADE
    files = sorted((folder / 'images' / 'validation').iterdir())[:n]
    colours = np.array([(255, 255, 255), *SEG_PALETTE], dtype=np.uint8)
    pairs = []
    for file in files:
        with Image.open(file) as picture, Image.open(folder / 'annotations' / 'validation' / file.name) as classes:
            pairs.append((np.asarray(picture), colours[np.asarray(classes)]))
    gap = 6
    height = max(image.shape[0] for image, _ in pairs) + 2 * gap
    width = 2 * max(image.shape[1] for image, _ in pairs) + 3 * gap
    sheet = np.full((height * -(-len(pairs) // columns), width * min(columns, len(pairs)), 3), 255, dtype=np.uint8)
    for index, (image, labels) in enumerate(pairs):
        row, column = divmod(index, columns)
        h, w = image.shape[:2]
        top, left = row * height + (height - h) // 2, column * width + (width - 2 * w - gap) // 2
        sheet[top : top + h, left : left + w] = image
        sheet[top : top + h, left + w + gap : left + 2 * w + gap] = labels
    write_png(Path(path), sheet)


def _check_options(train: int, val: int, seed: int, size: tuple[int, int]) -> None:
    for name, value in (('train', train), ('val', val)):
        if value < 1:
            raise InputError(f'{name}={value}: give at least 1 image')
    if seed < 0:
        raise InputError(f'seed={seed}: give a number from 0 on')
    low, high = size
    if not SIDES[0] <= low <= high <= SIDES[1]:
        raise InputError(
            f'size={low} {high}: give the smallest and the largest side in px, '
            f'{SIDES[0]} <= smallest <= largest <= {SIDES[1]}'
        )


def _present(target: Path, wanted: dict[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """The manifest of the set at `target` if it is the one wanted; None if `target` may be written."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return None
    manifest = _read_manifest(target)
    if manifest is None or any(entry.name not in ('coco', 'ade', MANIFEST) for entry in target.iterdir()):
        raise InputError(
            f'{target}: exists and is not only a shapes data set, so it is left alone; give another folder'
        )
    if overwrite:
        return None
    different = [
        f'{key} {manifest.get(key)} instead of {value}' for key, value in wanted.items() if manifest.get(key) != value
    ]
    if different:
        raise InputError(
            f'{target}: holds a shapes data set with {", ".join(different)}; pass --overwrite or another folder'
        )
    for (coco_name, _), key in zip(HALVES, ('train', 'val')):
        folder = target / 'coco' / coco_name
        found = len(os.listdir(folder)) if folder.is_dir() else 0
        if found != wanted[key]:
            raise InputError(f'{folder}: {found} images instead of {wanted[key]}; pass --overwrite to write it anew')
    return manifest


def _read_manifest(target: Path) -> dict[str, Any] | None:
    """The manifest in `target`, or None if there is none of ours."""
    try:
        manifest = json.loads((target / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and {'version', 'digest'} <= manifest.keys() else None


def _write(root: Path, wanted: dict[str, Any], progress: Callable[[int, int], None] | None) -> str:
    """Write both layouts below `root` and return the digest of their contents."""
    counts = (wanted['train'], wanted['val'])
    digest = hashlib.sha256()
    done = 0
    for half, (coco_name, ade_name) in enumerate(HALVES):
        annotations = root / 'coco' / 'annotations' / f'instances_{coco_name}.json'
        folders = [root / 'coco' / coco_name, root / ADE / 'images' / ade_name, root / ADE / 'annotations' / ade_name]
        for folder in (*folders, annotations.parent):
            folder.mkdir(parents=True, exist_ok=True)
        images: list[dict[str, Any]] = []
        objects: list[dict[str, Any]] = []
        for index in range(counts[half]):
            with_crowd = index % CROWD_EVERY == CROWD_FROM
            scene = draw_scene((wanted['seed'], half, index), tuple(wanted['size']), with_crowd)
            name = f'{index + 1:012d}.png'
            picture = _png(scene.image)
            for folder, content in zip(folders, (picture, picture, _png(scene.labels))):
                (folder / name).write_bytes(content)
            height, width = scene.labels.shape
            images.append({'id': index + 1, 'file_name': name, 'height': height, 'width': width})
            objects += _objects(scene, index + 1, len(objects) + 1)
            digest.update(_bytes_of(scene.image) + _bytes_of(scene.labels))
            done += 1
            if progress is not None:
                progress(done, sum(counts))
        content = _coco_file(coco_name, images, objects).encode()
        annotations.write_bytes(content)
        digest.update(content)
    return digest.hexdigest()


def _bytes_of(array: np.ndarray) -> bytes:
    return repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()


def _png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    # Level 1 is several times faster than the default and the noise in the pictures leaves little to gain.
    Image.fromarray(array).save(buffer, 'PNG', compress_level=1)
    return buffer.getvalue()


def _coco_file(half: str, images: list[dict[str, Any]], objects: list[dict[str, Any]]) -> str:
    categories = [{'id': k + 1, 'name': name, 'supercategory': 'shape'} for k, name in enumerate(SHAPES_CLASSES)]
    info = {'description': f'mmseq shapes, {half}', 'version': str(VERSION)}
    content = {'info': info, 'licenses': [], 'categories': categories, 'images': images, 'annotations': objects}
    return json.dumps(content, separators=(',', ':'))


def _objects(scene: Scene, image_id: int, first_id: int) -> Iterator[dict[str, Any]]:
    """COCO annotations of a scene."""
    for offset, instance in enumerate(scene.instances):
        rows, columns = (np.flatnonzero(instance.mask.any(axis=axis)) for axis in (1, 0))
        left, top = int(columns[0]), int(rows[0])
        yield {
            'id': first_id + offset,
            'image_id': image_id,
            'category_id': instance.class_index + 1,
            'iscrowd': int(instance.is_crowd),
            'area': int(instance.mask.sum()),
            'bbox': [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
            'segmentation': _segmentation(instance),
        }


def _segmentation(instance: Instance) -> list[list[float]] | dict[str, Any]:
    """Polygons where pycocotools rasterises them to exactly the mask, RLE elsewhere."""
    mask = instance.mask
    if instance.is_crowd:
        return {'size': list(mask.shape), 'counts': _run_lengths(mask)}
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    loops = _boundary(mask)
    # The smooth outline first; where that loses a corner pixel, the staircase of pixel edges.
    for polygons in ([_corners(_midpoints(loop)) for loop in loops], [_corners(loop) for loop in loops]):
        flat = [[float(v) for point in polygon for v in point] for polygon in polygons]
        # Two masks are equal exactly when their compressed run lengths are.
        if coco_mask.merge(coco_mask.frPyObjects(flat, *mask.shape)) == encoded:
            return flat
    return {'size': list(mask.shape), 'counts': encoded['counts'].decode('ascii')}


def _run_lengths(mask: np.ndarray) -> list[int]:
    """Lengths of the runs of 0 and 1 by turns, down the columns, beginning with 0."""
    flat = mask.ravel(order='F')
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *lengths] if flat[0] else lengths


Point = tuple[float, float]


def _boundary(mask: np.ndarray) -> list[list[Point]]:
    """The pixel edges around a mask (H, W) as closed loops of (x, y), clockwise on screen, holes counter-clockwise."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    # For each neighbour that may be missing: its view, and the ends of the edge towards it, seen from the pixel.
    sides = (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    following: dict[Point, list[Point]] = {}
    for neighbour, start, end in sides:
        for row, column in np.argwhere(inside & ~neighbour).tolist():
            following.setdefault((column + start[0], row + start[1]), []).append((column + end[0], row + end[1]))
    loops = []
    while following:
        first = next(iter(following))
        loop, here = [first], following[first][0]
        _drop(following, first, here)
        while here != first:
            nexts = following[here]
            # Where two pixels touch by a corner only, turning right stays with the pixel at hand.
            after = nexts[0] if len(nexts) == 1 else max(nexts, key=lambda point: _turn(loop[-1], here, point))
            _drop(following, here, after)
            loop.append(here)
            here = after
        loops.append(loop)
    return loops


def _drop(following: dict[Point, list[Point]], start: Point, end: Point) -> None:
    following[start].remove(end)
    if not following[start]:
        del following[start]


def _turn(before: Point, here: Point, after: Point) -> float:
    """Positive for a right turn on screen, where y grows downwards."""
    return (here[0] - before[0]) * (after[1] - here[1]) - (here[1] - before[1]) * (after[0] - here[0])


def _midpoints(loop: list[Point]) -> list[Point]:
    return [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in zip(loop, loop[1:] + loop[:1])]


def _corners(loop: list[Point]) -> list[Point]:
    """The loop without the points on straight runs."""
    neighbours = zip(loop[-1:] + loop[:-1], loop, loop[1:] + loop[:1])
    return [here for before, here, after in neighbours if _turn(before, here, after)]
