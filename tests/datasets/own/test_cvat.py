"""CVAT XML for images: its shapes, and what is no object."""

from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from mmseq.errors import InputError
from tests.datasets.own.reading import imported, maps_of, picture, write

SIZE = 'width="60" height="40"'
POLYGON = '<polygon label="cat" points="4.00,5.00;24.00,5.00;24.00,25.00;4.00,25.00" z_order="0"/>'
BOX = '<box label="cat" xtl="4" ytl="5" xbr="24" ybr="25" z_order="0"/>'


def source(tmp_path: Path, *shapes: str, second: str = POLYGON) -> Path:
    """Two images, the first with these shapes."""
    for k in range(2):
        picture(tmp_path / 'source' / 'images' / f'{k}.png', k)
    labels = ''.join(f'<label><name>{name}</name></label>' for name in ('dog', 'cat', 'fox'))
    parts = '<label><name>1</name><parent>dog</parent></label><label><name>sunny</name><type>tag</type></label>'
    parts += '<label><name>eye</name><type>points</type></label><label><name>pose</name><type>skeleton</type></label>'
    images = (
        f'<image id="0" name="0.png" {SIZE}>{"".join(shapes)}</image><image id="1" name="1.png" {SIZE}>{second}</image>'
    )
    meta = f'<meta><task><labels>{labels}{parts}</labels></task></meta>'
    write(tmp_path / 'source' / 'annotations.xml', f'<annotations><version>1.1</version>{meta}{images}</annotations>')
    return tmp_path / 'source'


def mask_of(card, number: int = 0) -> np.ndarray:
    for part in card.parts.values():
        read = COCO(str(part.labels))
        for image in read.imgs.values():
            if image['file_name'] == '0.png':
                return read.annToMask(read.loadAnns(read.getAnnIds([image['id']]))[number]).astype(bool)
    raise AssertionError('no such image')


def test_classes_come_in_the_order_of_the_project(tmp_path: Path) -> None:
    card, found, told = imported(source(tmp_path, POLYGON))
    assert card.classes == ('dog', 'cat', 'fox')
    assert found['0.png'] == [('cat', [4, 5, 20, 20])]
    assert 'classes without any object: 2, first dog' in told


def test_a_label_of_points_is_a_class_where_a_shape_with_area_has_it(tmp_path: Path) -> None:
    card, *_ = imported(source(tmp_path, POLYGON, POLYGON.replace('cat', 'eye')))
    assert card.classes == ('dog', 'cat', 'fox', 'eye')


def test_painted_masks_and_ellipses(tmp_path: Path) -> None:
    # 4 x 3 pixels at (10, 20), of which the middle of the second row is free.
    painted = '<mask label="cat" rle="0, 5, 2, 5" left="10" top="20" width="4" height="3" z_order="1"/>'
    ellipse = '<ellipse label="cat" cx="30" cy="20" rx="20" ry="5" rotation="90" z_order="2"/>'
    card, *_ = imported(source(tmp_path, painted, ellipse))
    expected = np.zeros((40, 60), bool)
    expected[20:23, 10:14] = True
    expected[21, 11:13] = False
    assert np.array_equal(mask_of(card, 0), expected)
    rows, columns = np.mgrid[:40, :60] + 0.5
    upright = ((columns - 30) / 5) ** 2 + ((rows - 20) / 20) ** 2 <= 1
    assert (mask_of(card, 1) & upright).sum() / (mask_of(card, 1) | upright).sum() > 0.96


def test_turned_boxes_are_polygons(tmp_path: Path) -> None:
    turned = '<box label="cat" xtl="10" ytl="15" xbr="30" ybr="25" rotation="90" z_order="0"/>'
    _, found, _ = imported(source(tmp_path, turned))
    assert found['0.png'] == [('cat', [15, 10, 10, 20])]


def test_boxes_alone_are_boxes(tmp_path: Path) -> None:
    card, found, _ = imported(source(tmp_path, BOX, second=BOX))
    assert card.task == 'boxes'
    assert found['0.png'] == [('cat', [4, 5, 20, 20])]


def test_shapes_above_others_are_drawn_last(tmp_path: Path) -> None:
    above = POLYGON.replace('cat', 'dog').replace('z_order="0"', 'z_order="1"')
    card, *_ = imported(source(tmp_path, above, POLYGON), task='semantic')
    assert card.classes[maps_of(card)['0'][10, 10]] == 'dog'


def test_what_has_no_area_is_counted(tmp_path: Path) -> None:
    more = '<points label="cat" points="1,1" z_order="0"/><polyline label="cat" points="1,1;5,5" z_order="0"/>'
    _, found, told = imported(source(tmp_path, POLYGON, more, '<tag label="fox"/>'))
    assert len(found['0.png']) == 1
    assert 'shapes without area (points), left out: 1' in told
    assert 'shapes without area (polyline), left out: 1' in told
    assert '(tag)' not in told


@pytest.mark.parametrize(
    'shape, expected',
    [
        ('<polygon label="cat"/>', "image '0.png': a shape has no 'points'"),
        ('<box label="cat" xtl="x" ytl="5" xbr="24" ybr="25"/>', "could not convert string to float: 'x'"),
        ('<mask label="cat" rle="1,2" left="1" top="1" width="4" height="3"/>', 'a mask of 3 pixels for 4 x 3'),
    ],
)
def test_malformed_shapes_are_one_line(shape: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        imported(source(tmp_path, shape))
    assert expected in str(raised.value)


def test_videos_and_empty_files_are_refused(tmp_path: Path) -> None:
    folder = source(tmp_path, POLYGON)
    for text, expected in (('<track/>', 'holds the tracks of a video'), ('', 'holds no images')):
        write(folder / 'annotations.xml', f'<annotations>{text}</annotations>')
        with pytest.raises(InputError, match=expected):
            imported(folder)
