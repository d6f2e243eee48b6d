"""Panoptic annotations of the embedded data set, derived from its instances and label maps.

    <root>/coco/annotations/panoptic_{train,val}2017.json
    <root>/coco/annotations/panoptic_{train,val}2017/000000000001.png

Things are the shapes, with the category ids of the instances; the background is the one stuff category. Pixels that
the label maps ignore belong to no segment. The layout is that of COCO: a segment's id is red + 256 green + 256^2 blue.
"""

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

from mmseq.datasets.shapes import ADE, HALVES, SHAPES_CLASSES
from mmseq.errors import InputError
from mmseq.files import whole_folder, write_text

STUFF: dict[str, Any] = {
    'id': len(SHAPES_CLASSES) + 1,
    'name': 'background',
    'supercategory': 'background',
    'isthing': 0,
}
# The value of the background in a label map.
BACKGROUND = 1


def write_panoptic(root: str | os.PathLike[str]) -> None:
    """Add panoptic annotations to the data set that `generate` wrote under `root`; what is there is replaced.

    Raises InputError if there is no such data set.
    """
    root = Path(root)
    folder = root / 'coco' / 'annotations'
    if not folder.is_dir():
        raise InputError(f'{root}: holds no shapes data set; write one with mmseq make-shapes first')
    for coco_name, ade_name in HALVES:
        annotations = folder / f'panoptic_{coco_name}.json'
        # The file that makes the pictures count comes last, so an old one must not stand beside new pictures.
        annotations.unlink(missing_ok=True)
        with whole_folder(folder / f'panoptic_{coco_name}') as pictures:
            content = _half(root, coco_name, ade_name, pictures)
        write_text(annotations, json.dumps(content, separators=(',', ':')))


def _half(root: Path, coco_name: str, ade_name: str, pictures: Path) -> dict[str, Any]:
    """Draw the segments of one half into `pictures` and return its annotations."""
    source = json.loads((root / 'coco' / 'annotations' / f'instances_{coco_name}.json').read_text())
    coco = COCO()
    # All that drawing a mask needs; the index of the whole file would be announced on the screen.
    coco.imgs = {image['id']: image for image in source['images']}
    instances = defaultdict(list)
    for instance in source['annotations']:
        instances[instance['image_id']].append(instance)
    annotations = []
    for image in source['images']:
        with Image.open(root / ADE / 'annotations' / ade_name / image['file_name']) as labels:
            ids = (np.asarray(labels) == BACKGROUND).astype(np.uint8)
        segments = [_segment(1, STUFF['id'], 0, ids == 1)]
        for number, instance in enumerate(instances[image['id']], 2):
            mask = coco.annToMask(instance).astype(bool)
            ids[mask] = number
            segments.append(_segment(number, instance['category_id'], instance['iscrowd'], mask))
        # Fewer than 256 segments: the id is the red channel.
        colours = np.stack([ids, np.zeros_like(ids), np.zeros_like(ids)], axis=-1)
        Image.fromarray(colours).save(pictures / image['file_name'])
        annotations.append({'image_id': image['id'], 'file_name': image['file_name'], 'segments_info': segments})
    things = [category | {'isthing': 1} for category in source['categories']]
    return {'images': source['images'], 'categories': [*things, STUFF], 'annotations': annotations}


def _segment(number: int, category: int, is_crowd: int, mask: np.ndarray) -> dict[str, Any]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    left, top = int(columns[0]), int(rows[0])
    return {
        'id': number,
        'category_id': category,
        'iscrowd': is_crowd,
        'area': int(mask.sum()),
        'bbox': [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
    }
