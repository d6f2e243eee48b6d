"""LabelMe json: its shapes, groups and embedded images."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from mmseq.errors import InputError
from tests.datasets.own.reading import imported, maps_of, picture, rows_of, write

SQUARE = [[4, 5], [24, 5], [24, 25], [4, 25]]


def shape(kind: str = 'polygon', points: list = SQUARE, label: str = 'cat', **more: Any) -> dict:
    return dict(label=label, points=points, shape_type=kind, group_id=None, flags={}) | more


def source(tmp_path: Path, *shapes: dict, **more: Any) -> Path:
    """An image with these shapes, and one with a polygon."""
    for k, chosen in enumerate((shapes, (shape(),))):
        picture(tmp_path / 'source' / f'{k}.png', k)
        content = dict(shapes=list(chosen), imagePath=f'{k}.png', imageData=None, imageHeight=40, imageWidth=60)
        write(tmp_path / 'source' / f'{k}.json', content | more)
    return tmp_path / 'source'


def masks(card: Any) -> list[np.ndarray]:
    """Masks of the first image."""
    for part in card.parts.values():
        read = COCO(str(part.labels))
        for image in read.imgs.values():
            if image['file_name'] == '0.png':
                return [read.annToMask(row).astype(bool) for row in read.loadAnns(read.getAnnIds([image['id']]))]
    raise AssertionError('no such image')


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:40, :60] + 0.5
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def square() -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[5:25, 4:24] = True
    return mask


def painted(mask: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, 'PNG')
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    'drawn, expected',
    [
        (shape(), square()),
        (shape('rectangle', [[24, 25], [4, 5]]), square()),
        (shape('rectangle', SQUARE), square()),
        (shape('circle', [[30, 20], [30, 8]]), disc(30, 20, 12)),
        (shape('mask', [[10, 8], [21, 19]], mask=painted(disc(30, 20, 12)[8:20, 10:22])), None),
    ],
    ids=['polygon', 'rectangle', 'four corners', 'circle', 'mask'],
)
def test_shapes_become_masks(drawn: dict, expected: np.ndarray | None, tmp_path: Path) -> None:
    card, *_ = imported(source(tmp_path, shape(), drawn))
    assert card.task == 'instances'
    if expected is None:
        expected = np.zeros((40, 60), bool)
        expected[8:20, 10:22] = disc(30, 20, 12)[8:20, 10:22]
    mask = masks(card)[1]
    assert (mask & expected).sum() / (mask | expected).sum() > 0.96


def test_rectangles_alone_are_boxes(tmp_path: Path) -> None:
    folder = source(tmp_path, shape('rectangle', [[24, 25], [4, 5]]))
    (folder / '1.json').write_text((folder / '0.json').read_text().replace('0.png', '1.png'))
    card, found, _ = imported(folder)
    assert card.task == 'boxes'
    assert found['0.png'] == [('cat', [4, 5, 20, 20])]


def test_shapes_of_a_group_are_one_object(tmp_path: Path) -> None:
    other = [[40, 5], [50, 5], [50, 15]]
    shapes = shape(group_id=1), shape(points=other, group_id=1), shape(label='dog', group_id=1)
    card, found, _ = imported(source(tmp_path, *shapes))
    assert found['0.png'] == [('cat', [4, 5, 46, 20]), ('dog', [4, 5, 20, 20])]
    assert [len(row['segmentation']) for row in rows_of(card) if row['bbox'][2] == 46] == [2]


def test_boxes_of_a_group_stay_apart_and_painted_masks_alone(tmp_path: Path) -> None:
    boxes = [shape('rectangle', [[x, 5], [x + 9, 25]], group_id=1) for x in (4, 30)]
    _, found, _ = imported(source(tmp_path, *boxes))
    assert found['0.png'] == [('cat', [4, 5, 9, 20]), ('cat', [30, 5, 9, 20])]
    brush = shape('mask', [[4, 5], [24, 25]], mask=painted(np.ones((20, 20), bool)), group_id=1)
    with pytest.raises(InputError, match="a painted mask 'cat' is grouped with other shapes"):
        imported(source(tmp_path, shape(group_id=1), brush))


def test_shapes_without_area_are_counted(tmp_path: Path) -> None:
    more = (shape('point', [[1, 1]]), shape('linestrip', [[1, 1], [5, 5]]), shape(points=[[1, 1], [5, 5]]))
    _, found, told = imported(source(tmp_path, shape(), *more))
    assert len(found['0.png']) == 1
    assert 'shapes without area (point), left out: 1' in told
    assert 'shapes without area (linestrip), left out: 1' in told
    assert 'polygons of fewer than three points, left out: 1' in told


def test_embedded_images_are_written_where_the_file_is_absent(tmp_path: Path) -> None:
    folder = source(tmp_path, shape())
    raw = (folder / '0.png').read_bytes()
    content = dict(shapes=[shape()], imagePath='..\\photos\\0.png', imageData=base64.b64encode(raw).decode())
    write(folder / '0.json', content | dict(imageHeight=40, imageWidth=60))
    (folder / '0.png').unlink()
    card, found, _ = imported(folder)
    assert set(found) == {'0.png', '1.png'}
    assert card.train.images == tmp_path / 'out' / 'images'
    assert (tmp_path / 'out' / 'images' / '0.png').read_bytes() == raw
    assert (tmp_path / 'out' / 'images' / '1.png').is_symlink()


def test_later_shapes_lie_above_and_its_names_for_none_are_kept_apart(tmp_path: Path) -> None:
    inner = [[10, 10], [20, 10], [20, 20], [10, 20]]
    shapes = (shape(points=inner, label='dog'), shape(), shape(points=inner, label='__ignore__'))
    card, *_ = imported(source(tmp_path, *shapes), task='semantic')
    assert card.classes == ('background', 'cat', 'dog')
    values = maps_of(card)['0']
    assert (values[15, 15], values[7, 7], values[0, 0]) == (255, 1, 0)
    card, _, told = imported(source(tmp_path, *shapes), task='instances')
    assert card.classes == ('cat', 'dog')
    assert 'objects of other classes, left out: 1, first __ignore__ in 0.png' in told


@pytest.mark.parametrize(
    'drawn, expected',
    [
        (shape('star'), "shape of type 'star'"),
        (shape(label=''), "with label ''"),
        (shape('mask', [[1, 1], [5, 5]], mask='AAAA'), 'which is no shape of LabelMe'),
        (shape('circle', [[1, 1]]), 'which is no shape of LabelMe'),
        (shape('rectangle', [[1, 1], [2, 2], [3, 3]]), 'rectangle of 3 points'),
        (shape(points=[[1, 'x']]), 'which is no shape of LabelMe'),
    ],
)
def test_malformed_shapes_are_one_line(drawn: dict, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        imported(source(tmp_path, drawn))
    assert expected in str(raised.value)
    assert '0.json' in str(raised.value)
    assert '\n' not in str(raised.value)
