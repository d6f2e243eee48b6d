"""What tools write that is not read is named, with what to export instead."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmseq.datasets.own import foreign
from mmseq.datasets.own.importing import import_data
from mmseq.datasets.own.tree import Tree
from mmseq.errors import InputError
from tests.datasets.own.reading import pictures

RECTANGLE = dict(name='rect', x=1, y=2, width=3, height=4)
VIA_ROW = dict(filename='a.jpg', size=9, regions=[dict(shape_attributes=RECTANGLE, region_attributes=dict(kind='cat'))])
STUDIO = dict(
    id=1,
    annotations=[dict(completed_by=1, result=[dict(from_name='label', to_name='image', value=dict(x=1))])],
    data=dict(image='/data/upload/1/0f-a.jpg'),
)
CREATE = dict(image='a.jpg', annotations=[dict(label='cat', coordinates=dict(x=1, y=2, width=3, height=4))])
WRITTEN: dict[str, tuple[str, Any, str]] = {
    'via': ('via_region_data.json', {'a.jpg9': VIA_ROW}, 'VGG Image Annotator'),
    'via project': ('project.json', dict(_via_settings={}, _via_img_metadata={'a.jpg9': VIA_ROW}), 'from VIA in COCO'),
    'via csv': (
        'via.csv',
        'filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n',
        'VGG Image Annotator',
    ),
    'label studio': ('project-1-at-2026.json', [STUDIO], 'export it from Label Studio as COCO'),
    'label studio min': ('min.json', [dict(image='/a.jpg', label=[], annotation_id=2, annotator=1)], 'Label Studio'),
    'labelbox': ('export.ndjson', dict(data_row=dict(id='c', external_id='a.jpg'), projects={}), 'Labelbox'),
    'supervisely': ('ann/a.jpg.json', dict(size={}, objects=[dict(classTitle='cat', points={})]), 'Supervisely'),
    'createml': ('_annotations.createml.json', [CREATE], 'CreateML json'),
    'tensorflow': (
        'train_labels.csv',
        'filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,9,9,cat,1,2,3,4\n',
        'csv',
    ),
    'makesense': ('labels_my-project.csv', 'cat,10,20,30,40,a.jpg,60,40\n', 'a table of boxes (csv)'),
    'keras': ('boxes.csv', 'path,x1,y1,x2,y2,class\na.jpg,1,2,3,4,cat\n', 'a table of boxes (csv)'),
    'datumaro': ('default.json', dict(dm_format_version='1.0', items=[dict(id='a', annotations=[])]), 'Datumaro'),
    'v7': ('a.json', dict(item=dict(name='a.jpg'), annotations=[dict(bounding_box=dict(x=1), name='cat')]), 'V7'),
    'bdd': ('labels.json', [dict(name='a.jpg', labels=[dict(category='car', box2d=dict(x1=1))])], 'Scalabel'),
}


@pytest.mark.parametrize('kind', WRITTEN)
def test_a_format_that_is_not_read_is_named_with_what_to_export(kind: str, tmp_path: Path) -> None:
    name, content, said = WRITTEN[kind]
    pictures(tmp_path / 'source', 'a.jpg')
    path = tmp_path / 'source' / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError) as raised:
        import_data(tmp_path / 'source', tmp_path / 'out')
    line = str(raised.value)
    assert '\n' not in line
    assert f'source/{name} is ' in line
    assert said in line


def test_every_such_format_is_met(tmp_path: Path) -> None:
    names = {name for one in foreign.FOREIGN for name, content, _ in WRITTEN.values() if _meets(one, name, content)}
    assert len(names) == len(WRITTEN)
    assert all(any(_meets(one, *row[:2]) for row in WRITTEN.values()) for one in foreign.FOREIGN)


def _meets(one: foreign.Foreign, name: str, content: Any) -> bool:
    text = content if isinstance(content, str) else json.dumps(content)
    return Path(name).suffix in one.suffixes and one.sign.search(text) is not None


@pytest.mark.parametrize('text', ['name,age\nann,3\n', 'filename,label\na.jpg,cat\n', ''])
def test_other_tables_are_none(text: str, tmp_path: Path) -> None:
    pictures(tmp_path, 'a.jpg')
    (tmp_path / 'people.csv').write_text(text)
    (tmp_path / 'settings.json').write_text('{"x": 1, "name": "a"}')
    assert foreign.find(Tree([tmp_path])) == ''
