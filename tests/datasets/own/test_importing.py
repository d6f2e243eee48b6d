"""Every format is imported with exact counts, boxes and masks; nothing is written unless all of it is."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from mmseq.datasets.own.card import Card
from mmseq.datasets.own.importing import import_data
from tests.datasets.own import exports
from tests.datasets.own.exports import Truth

OBJECTS = exports.BOXES | exports.INSTANCES
PALETTE = [0, 0, 0, 200, 30, 30, 30, 200, 30, 30, 30, 200]


def things_of(card: Card) -> dict[str, list[tuple[str, np.ndarray, np.ndarray | None]]]:
    """Name, box and mask of every object by the name of its image."""
    found: dict[str, list] = {}
    for part in card.parts.values():
        read = COCO(str(part.labels))
        for image in read.loadImgs(read.getImgIds()):
            assert (part.images / image['file_name']).is_file()
            rows = read.loadAnns(read.getAnnIds(imgIds=[image['id']]))
            stem = Path(image['file_name']).stem
            assert stem not in found, 'an image stands in two parts'
            found[stem] = []
            for row in rows:
                left, top, width, height = row['bbox']
                box = np.array((left, top, left + width, top + height))
                mask = read.annToMask(row).astype(bool) if row.get('segmentation') else None
                found[stem].append((read.cats[row['category_id']]['name'], box, mask))
    return found


def maps_of(card: Card) -> dict[str, np.ndarray]:
    """Label maps by the name of their image."""
    paths = [path for part in card.parts.values() for path in part.labels.iterdir()]
    return {path.stem: np.asarray(Image.open(path)) for path in paths}


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize('kind', OBJECTS)
def test_objects_come_through_every_format(kind: str, truths: list[Truth], tmp_path: Path) -> None:
    OBJECTS[kind](tmp_path / 'source', truths)
    card = import_data(tmp_path / 'source', tmp_path / 'out')
    assert card.task == ('boxes' if kind in exports.BOXES else 'instances')
    assert list(card.classes) == exports.classes_of(truths)
    found = things_of(card)
    assert set(found) == {truth.image.stem for truth in truths}
    for truth in truths:
        things = found[truth.image.stem]
        assert [name for name, *_ in things] == [thing.name for thing in truth.things]
        for (_, box, mask), thing in zip(things, truth.things):
            assert np.abs(box - thing.box).max() <= 1
            if kind in exports.INSTANCES:
                assert iou(mask, truth.mask(thing)) > 0.99


@pytest.mark.parametrize('kind', ['coco', 'yolo', 'voc'])
def test_parts_of_a_source_are_kept(kind: str, made: list[Truth], tmp_path: Path) -> None:
    OBJECTS[kind](tmp_path / 'source', made)
    card = import_data(tmp_path / 'source', tmp_path / 'out')
    content = {part: json.loads(chosen.labels.read_text()) for part, chosen in card.parts.items()}
    names = {part: {Path(row['file_name']).stem for row in rows['images']} for part, rows in content.items()}
    assert list(names.values()) == [{truth.image.stem for truth in chosen} for chosen in exports.halves(made).values()]


def white(values: np.ndarray) -> Image.Image:
    return Image.fromarray((values > 0).astype(np.uint8) * 255)


def index(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values)


def palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values, 'P')
    image.putpalette(PALETTE + 3 * list(range(len(PALETTE) // 3, 256)))
    return image


def sixteen(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint16) * 257)


def with_border(values: np.ndarray) -> Image.Image:
    values = values.copy()
    values[:2] = 255
    return Image.fromarray(values)


def colour(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.array(PALETTE + 3 * list(range(4, 256)), np.uint8).reshape(-1, 3)[values])


@pytest.mark.parametrize('convert', [white, index, palette, sixteen, with_border, colour])
def test_label_maps_of_every_kind(convert: Callable, truths: list[Truth], tmp_path: Path) -> None:
    exports.maps(tmp_path / 'source', truths, convert)
    names = exports.classes_of(truths)
    table = tmp_path / 'colours.txt'
    colours = np.array(PALETTE + 3 * list(range(4, 256)), np.uint8).reshape(-1, 3)
    lines = [' '.join(map(str, colours[k])) + f' {name}' for k, name in enumerate(['background', *names])]
    table.write_text('\n'.join(lines))
    if convert is colour:
        names = ()
    card = import_data(
        tmp_path / 'source',
        tmp_path / 'out',
        classes=('thing',) if convert is white else names,
        colours=table if convert is colour else None,
    )
    names = exports.classes_of(truths)
    assert card.task == 'semantic'
    assert card.classes == ('background', *(('thing',) if convert is white else names))
    found = maps_of(card)
    assert len(found) == len(truths)
    for truth in truths:
        expected = exports.label_map(truth, names)
        expected = (expected > 0).astype(np.uint8) if convert is white else expected
        if convert is with_border:
            expected[:2] = 255
        assert np.array_equal(found[truth.image.stem], expected)


def test_polygons_become_label_maps(made: list[Truth], tmp_path: Path) -> None:
    exports.coco(tmp_path / 'source', made)
    card = import_data(tmp_path / 'source', tmp_path / 'out', task='semantic')
    assert card.classes == ('background', 'ant', 'bee', 'cow')
    for truth in made:
        assert np.array_equal(maps_of(card)[truth.image.stem], exports.label_map(truth, ['ant', 'bee', 'cow']))
