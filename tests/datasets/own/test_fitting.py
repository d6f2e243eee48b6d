"""Labels fit their image as upstream loads it: turned by EXIF data, clipped, in pixels."""

from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image, ImageOps

from mmseq.datasets.own import geometry
from mmseq.datasets.own.fitting import Look, fitted, look
from mmseq.datasets.own.source import Labelled, Notes, Object
from tests.datasets.own.reading import imported, maps_of, write

STORED = (60, 40)
SQUARE = geometry.rectangle((4, 5, 24, 15))


def turned(path: Path, orientation: int, mode: str = 'RGB') -> Path:
    """A stored picture of 60 x 40 with a white rectangle at (4, 5) to (24, 15)."""
    values = np.zeros((40, 60, 3), np.uint8)
    values[5:15, 4:24] = 255
    exif = Image.Exif()
    exif[274] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).convert(mode).save(path, exif=exif, quality=100)
    return path


@pytest.mark.parametrize('orientation', range(1, 9))
def test_what_is_drawn_on_the_stored_picture_is_turned_as_the_loader_does(orientation: int, tmp_path: Path) -> None:
    path = turned(tmp_path / 'a.jpg', orientation)
    loaded = mmcv.imread(str(path))
    seen = look(path)
    assert (seen.height, seen.width) == loaded.shape[:2]
    assert seen.stored == STORED
    points = geometry.turned_points(SQUARE, orientation, *STORED)
    left, top, right, bottom = map(round, geometry.box_of_points(points))
    assert loaded[top:bottom, left:right].min() > 200
    assert loaded.sum() == pytest.approx(loaded[top:bottom, left:right].sum(), rel=0.05)
    with Image.open(path) as image:
        values = np.asarray(image.convert('L'))
        assert np.array_equal(geometry.turned_map(values, orientation), ImageOps.exif_transpose(image).convert('L'))


@pytest.mark.parametrize('size', [STORED, STORED[::-1], None])
def test_the_size_of_the_labels_tells_which_picture_they_are_for(size: tuple | None, tmp_path: Path) -> None:
    path = turned(tmp_path / 'a.jpg', 6)
    one = Object('cat', (4, 5, 24, 15), [SQUARE])
    notes = Notes()
    fit = fitted(Labelled(path, path, [one], size=size), look(path), notes)
    assert fit.size == (40, 60)
    assert fit.objects[0].box == ((25, 4, 35, 24) if size == STORED else (4, 5, 24, 15))
    assert geometry.box_of_points(fit.objects[0].mask[0]) == fit.objects[0].box
    assert len(notes.lines()) == (size == STORED)


def test_masks_and_label_maps_are_turned_too(tmp_path: Path) -> None:
    path = turned(tmp_path / 'a.jpg', 6)
    mask = np.zeros((40, 60), bool)
    mask[5:15, 4:24] = True
    fit = fitted(Labelled(path, path, [Object('cat', None, geometry.encode(mask))], size=STORED), look(path), Notes())
    assert fit.objects[0].box == (25, 4, 35, 24)
    for k in range(2):
        turned(tmp_path / 'source' / 'images' / f'{k}.jpg', 6 + k)
        (tmp_path / 'source' / 'masks').mkdir(exist_ok=True)
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / 'source' / 'masks' / f'{k}.png')
    card, *_ = imported(tmp_path / 'source')
    for k, values in maps_of(card).items():
        picture = cv2.imread(str(tmp_path / 'source' / 'images' / f'{k}.jpg'))
        assert np.array_equal(values.astype(bool), picture[:, :, 0] > 127)


def test_labels_for_an_image_of_another_size_are_left_out(tmp_path: Path) -> None:
    path = turned(tmp_path / 'a.jpg', 1)
    notes = Notes()
    assert fitted(Labelled(path, path, size=(30, 20)), look(path), notes) is None
    assert notes.lines() == [
        'images of another size than their labels say, left out: 1, first a.jpg: 30 x 20 instead of 60 x 40'
    ]


def test_polygons_are_clipped_along_the_edges() -> None:
    corner = np.array([[-10, 5], [10, -15], [30, 5], [10, 25]], float)
    inner = geometry.clipped_polygon(corner, 60, 40)
    # The square loses a triangle at the left and one at the top, which have a smaller one in common.
    assert geometry.polygon_area(inner) == 800 - 100 - 225 + 12.5
    assert geometry.box_of_points(inner) == (0, 0, 30, 25)
    assert not len(geometry.clipped_polygon(corner + 100, 60, 40))


@pytest.mark.parametrize(
    'one, expected, note',
    [
        (Object('cat', (-5, -5, 20, 30)), (0, 0, 20, 30), 'boxes that reached out of their image, clipped: 1'),
        (Object('cat', (-0.6, 0, 60.6, 40)), (0, 0, 60, 40), None),
        (Object('cat', (70, 5, 90, 9)), None, 'objects without area in their image, left out: 1'),
        (Object('cat', (5, 5, 5, 9)), None, 'objects without area in their image, left out: 1'),
        (Object('cat', (5, 5, float('nan'), 9)), None, 'objects without area in their image, left out: 1'),
        # The mask says where the object is if its box does not.
        (Object('cat', (5, 5, 5, 5), [SQUARE]), (4, 5, 24, 15), None),
        (Object('cat', (1, 2, 9, 9), [SQUARE * np.nan]), (1, 2, 9, 9), 'masks with coordinates that are no numbers'),
        (Object('cat', (1, 2, 9, 9), [SQUARE + 100]), (1, 2, 9, 9), 'masks without area in their image, left out: 1'),
    ],
)
def test_objects_are_brought_into_their_image(one: Object, expected: tuple | None, note: str | None) -> None:
    notes = Notes()
    labelled = Labelled(Path('a.jpg'), Path('a.json'), [one])
    fit = fitted(labelled, Look(60, 40), notes)
    assert [found.box for found in fit.objects] == ([expected] if expected else [])
    told = '\n'.join(notes.lines())
    assert told.startswith(note) if note else not told


def test_an_ellipse_covers_its_area() -> None:
    assert geometry.polygon_area(geometry.ellipse(30, 20, 10, 5, 30)) == pytest.approx(np.pi * 50, rel=0.002)


def test_data_of_turned_photographs_are_written_in_their_turned_size(tmp_path: Path) -> None:
    images = [dict(id=k, file_name=f'{k}.jpg', width=60, height=40) for k in range(2)]
    rows = [dict(id=k, image_id=k, category_id=1, bbox=[4, 5, 20, 10]) for k in range(2)]
    for k in range(2):
        turned(tmp_path / 'source' / f'{k}.jpg', 8 - 2 * k)
    write(tmp_path / 'source' / 'labels.json', dict(images=images, annotations=rows, categories=[dict(id=1, name='a')]))
    _, found, told = imported(tmp_path / 'source')
    for name, things in found.items():
        left, top, width, height = map(round, things[0][1])
        picture = cv2.imread(str(tmp_path / 'source' / name))
        assert picture[top : top + height, left : left + width].min() > 200
    assert 'labels of photographs before they are turned by EXIF data, turned with them: 2' in told
