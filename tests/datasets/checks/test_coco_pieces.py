"""Files read in pieces hold what Python's own reader finds in them, wherever they are cut."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmseq.datasets.checks import coco_pieces
from mmseq.datasets.checks.coco_annotations import Annotations, arranged
from mmseq.datasets.checks.coco_file import read_annotations, read_json
from mmseq.datasets.checks.coco_pieces import read_in_pieces
from mmseq.errors import InputError

IMAGES = [dict(id=i, file_name=f'größe {i}.jpg', height=9, width=9) for i in range(3)]


def annotation(number: int, **more: Any) -> dict[str, Any]:
    return dict(id=number, image_id=0, category_id=1, bbox=[1, 2.5, 3, 4], area=7, iscrowd=0) | more


ROWS = [
    annotation(1, segmentation=dict(size=[3, 3], counts=[4, 5])),
    annotation(2, segmentation=[[1, 2, 3, 4, 5, 0.5], [9, 9, 9, 9, 9, 9]], note='}, {"annotations": ['),
    annotation(3, pieces=[dict(a=1), dict(b=[dict(c='é'), dict()])]),
    *(annotation(number, attributes={'occluded': False}) for number in range(4, 40)),
]
ONE = json.dumps(annotation(1))


def same(one: Annotations, other: Annotations) -> bool:
    for name, values in vars(one).items():
        np.testing.assert_equal(vars(other)[name], values)
        assert getattr(values, 'dtype', None) == getattr(vars(other)[name], 'dtype', None)
    return True


@pytest.fixture(params=[16, 100, 1000])
def small_pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coco_pieces, 'PIECE', request.param)


@pytest.mark.usefixtures('small_pieces')
@pytest.mark.parametrize('keys', [('images', 'annotations', 'categories'), ('annotations', 'images'), ('annotations',)])
@pytest.mark.parametrize('form', [dict(), dict(indent=1), dict(separators=(',', ':')), dict(ensure_ascii=False)])
@pytest.mark.parametrize('rows', [ROWS, ROWS[:1], []])
def test_wherever_it_is_cut(tmp_path: Path, keys: tuple, form: dict, rows: list) -> None:
    content = {key: dict(images=IMAGES, annotations=rows, categories=[dict(id=1, name='x')])[key] for key in keys}
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(content, **form), encoding='utf-8')
    found = read_in_pieces(str(path))
    assert same(found.pop('annotations'), arranged(rows))
    content.pop('annotations')
    assert found == content


@pytest.mark.usefixtures('small_pieces')
@pytest.mark.parametrize(
    'text',
    [
        f'{{"info": {{"annotations": [{ONE}]}}, "images": []}}',
        f'{{"annotations": [{ONE}], "annotations": [{ONE}]}}',
        '{"annotations": {"id": 1}}',
        '[]',
    ],
)
def test_other_files_are_read_as_a_whole(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'truth.json'
    path.write_text(text)
    with pytest.raises(ValueError, match='annotations'):
        read_in_pieces(str(path))
    if text != '[]':
        assert read_json(str(path)) == json.loads(text)


@pytest.mark.usefixtures('small_pieces')
def test_torn_files_say_where(tmp_path: Path) -> None:
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(dict(images=IMAGES, annotations=ROWS))[:-300])
    with pytest.raises(InputError, match=r'is not whole JSON .*char'):
        read_json(str(path))


@pytest.mark.usefixtures('small_pieces')
@pytest.mark.parametrize('package', [True, False])
def test_numbers_that_are_none(tmp_path: Path, package: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not package:
        monkeypatch.setattr(coco_pieces, 'orjson', None)
    rows = [annotation(1, area=math.nan), annotation(2, segmentation=[[0, 0, math.inf, 0, 1, 1]])] * 9
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(dict(annotations=rows)))
    found = read_in_pieces(str(path))['annotations']
    assert math.isnan(found.areas[0])
    assert found.reach[1].tolist() == [0, 0, math.inf, 1]


@pytest.mark.usefixtures('small_pieces')
@pytest.mark.parametrize('other', [5, annotation('a', area='1'), dict(id=1), annotation(1, bbox=None)])
def test_what_no_check_can_read_is_named(tmp_path: Path, other: Any) -> None:
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(dict(annotations=[*ROWS, other])))
    content = read_json(str(path))
    assert type(content['annotations']) is list
    with pytest.raises(InputError, match=rf'annotations\[{len(ROWS)}\] (is|has)'):
        read_annotations(str(path), content)
