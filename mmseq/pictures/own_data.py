"""A sheet of images of own data with their labels, to look at before anything is trained on them."""

import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmseq.datasets.checks.findings import spaced
from mmseq.datasets.checks.images import decode
from mmseq.datasets.own import geometry
from mmseq.datasets.own.card import Card, Part
from mmseq.files import write_png
from mmseq.pictures.browse import Objects, Sample, draw_sample
from mmseq.pictures.contact_sheet import contact_sheet
from mmseq.pictures.displayable import read_displayable
from mmseq.pictures.palette import palette
from mmseq.pictures.scaling import factor_for, scale_sample

COLUMNS = 4


def draw_sheet(card: Card, out: str | Path, count: int = 12) -> Path:
    """Draw images of all parts with their labels onto one sheet.

    Args:
        card: of the data; each of its files has to be there.
        out: the sheet to write.
        count: how many images, evenly spaced; those with objects first.

    Returns:
        The sheet's path.
    """
    found = [sample for part in card.parts.values() for sample in samples(card, part)]
    chosen = spaced(found, count)
    colours = palette(card.classes, card.palette)
    with tempfile.TemporaryDirectory() as folder:
        for number, read in enumerate(chosen):
            sample = read()
            picture = draw_sample(scale_sample(sample, factor_for(sample.picture)), card.classes, colours)
            write_png(Path(folder, f'{number:02d}_{sample.name}.png'), picture)
        return contact_sheet(folder, out, n=len(chosen), columns=COLUMNS)


def samples(card: Card, part: Part) -> list[Callable[[], Sample]]:
    """What reads each image of a part that has something on it."""
    if card.task == 'semantic':
        maps = sorted(part.labels.rglob(f'*{part.label_suffix}'))
        return [partial(_of_map, card, part, path) for path in maps]
    content = json.loads(part.labels.read_text(encoding='utf-8'))
    places = {row['id']: k for k, row in enumerate(content['categories'])}
    rows: dict[int, list[dict[str, Any]]] = {}
    for row in content['annotations']:
        rows.setdefault(row['image_id'], []).append(row)
    with_objects = [image for image in content['images'] if image['id'] in rows]
    return [partial(_of_coco, part, image, rows[image['id']], places) for image in with_objects]


def _of_map(card: Card, part: Part, path: Path) -> Sample:
    name = path.relative_to(part.labels).as_posix().removesuffix(part.label_suffix)
    values = decode(str(path), labels=True)[1]
    assert values is not None
    picture = read_displayable(part.images / (name + part.image_suffix))
    counted = np.where(values == card.ignore_index, len(card.classes), values.astype(np.int64))
    return Sample(Path(name).name, picture, None, None, counted - 1 if card.reduce_zero_label else counted)


def _of_coco(part: Part, image: dict[str, Any], rows: Sequence[dict[str, Any]], places: dict[int, int]) -> Sample:
    picture = read_displayable(part.images / image['file_name'])
    known, crowds = ([row for row in rows if bool(row.get('iscrowd')) is crowd] for crowd in (False, True))
    size = (image['width'], image['height'])
    return Sample(
        Path(image['file_name']).stem, picture, _objects(known, places, *size), _objects(crowds, places, *size), None
    )


def _objects(rows: Sequence[dict[str, Any]], places: dict[int, int], width: int, height: int) -> Objects:
    corner_and_size = np.array([row['bbox'] for row in rows], float).reshape(-1, 4)
    boxes = np.concatenate((corner_and_size[:, :2], corner_and_size[:, :2] + corner_and_size[:, 2:]), 1)
    masks = None
    if rows and all(row.get('segmentation') for row in rows):
        masks = np.stack([geometry.decode(_mask(row['segmentation']), width, height) for row in rows])
    return Objects(np.array([places[row['category_id']] for row in rows], int), boxes, masks)


def _mask(segmentation: Any) -> Any:
    if isinstance(segmentation, list):
        return [np.array(points).reshape(-1, 2) for points in segmentation]
    return segmentation
