"""Pascal VOC XML as labelImg, services and scripts write it."""

from pathlib import Path

import numpy as np
import pytest

from mmseq.errors import InputError
from tests.datasets.own import exports
from tests.datasets.own.exports import Truth
from tests.datasets.own.reading import imported, pictures, rows_of, write

BOX = '<bndbox><xmin>5</xmin><ymin>6</ymin><xmax>24</xmax><ymax>25</ymax></bndbox>'
CAT = f'<object><name>cat</name>{BOX}</object>'


def annotation(name: str, *objects: str, size: str = '<size><width>60</width><height>40</height></size>') -> str:
    return f'<annotation><filename>{name}</filename>{size}{"".join(objects)}</annotation>'


def source(tmp_path: Path, *texts: str) -> Path:
    """Images a0.png, a1.png ... with these XML files."""
    pictures(tmp_path / 'source' / 'images', *(f'a{k}.png' for k in range(len(texts))))
    for k, text in enumerate(texts):
        write(tmp_path / 'source' / 'annotations' / f'a{k}.xml', text)
    return tmp_path / 'source'


def test_counts_and_boxes_are_those_of_supervision(truths: list[Truth], tmp_path: Path) -> None:
    supervision = pytest.importorskip('supervision', reason='supervision is not installed (mmseq[dev])')
    exports.voc(tmp_path / 'source', truths)
    places = [str(tmp_path / 'source' / name) for name in ('JPEGImages', 'Annotations')]
    theirs = supervision.DetectionDataset.from_pascal_voc(*places)
    _, found, _ = imported(tmp_path / 'source')
    assert len(found) == len(theirs) == len(truths)
    for path, _, objects in theirs:
        ours = found[Path(path).name]
        assert [name for name, _ in ours] == [theirs.classes[k] for k in objects.class_id]
        boxes = np.array([box for _, box in ours]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        assert np.abs(boxes - objects.xyxy).max(initial=0) <= 1


def test_pixels_count_from_1_unless_one_is_0(tmp_path: Path) -> None:
    _, found, told = imported(source(tmp_path / 'a', annotation('a0.png', CAT), annotation('a1.png', CAT)))
    assert found['a0.png'] == [('cat', [4, 5, 20, 20])]
    assert 'boxes count pixels from 1, which was taken from left and top: 2' in told
    zero = CAT.replace('<ymin>6<', '<ymin>0<')
    _, found, _ = imported(source(tmp_path / 'b', annotation('a0.png', CAT), annotation('a1.png', zero)))
    assert found['a0.png'] == [('cat', [5, 6, 19, 19])]


def test_difficult_objects_count_neither_way(tmp_path: Path) -> None:
    difficult = CAT.replace('</object>', '<difficult>1</difficult></object>')
    folder = source(tmp_path, annotation('a0.png', CAT, difficult), annotation('a1.png', CAT))
    card, _, told = imported(folder)
    assert sorted(row['iscrowd'] for row in rows_of(card)) == [0, 0, 1]
    assert 'difficult objects, neither trained nor evaluated: 1' in told


def test_wrong_file_names_and_absent_sizes(tmp_path: Path) -> None:
    unknown = '<size><width>0</width><height>0</height></size>'
    texts = (
        annotation('IMG_1.JPG', CAT, size=unknown),
        annotation('a1', CAT, size=''),
        # A copied file: the name of the XML decides.
        annotation('a0.png', CAT),
    )
    _, found, _ = imported(source(tmp_path, *texts))
    assert {name: len(things) for name, things in found.items()} == {'a0.png': 1, 'a1.png': 1, 'a2.png': 1}


def test_polygons_that_services_put_beside_the_box(tmp_path: Path) -> None:
    points = '<polygon><x1>5</x1><y1>6</y1><x2>25</x2><y2>6</y2><x3>25</x3><y3>26</y3></polygon>'
    drawn = CAT.replace('</object>', f'{points}</object>')
    card, *_ = imported(source(tmp_path, annotation('a0.png', drawn), annotation('a1.png', drawn)))
    assert card.task == 'instances'
    assert rows_of(card)[0]['segmentation'] == [[4, 5, 24, 5, 24, 25]]


def test_what_is_missing_is_counted(tmp_path: Path) -> None:
    folder = source(tmp_path, annotation('a0.png', CAT), annotation('a1.png', CAT))
    pictures(folder / 'images', 'bare.png')
    write(folder / 'annotations' / 'gone.xml', annotation('gone.png', CAT))
    _, found, told = imported(folder)
    assert 'bare.png' not in found
    assert 'images without an XML file, left out: 1, first bare.png' in told
    assert 'images that are not there, left out: 1, first gone.png' in told


@pytest.mark.parametrize(
    'text, expected',
    [
        (annotation('a0.png', CAT)[:-20], 'is not whole XML'),
        (annotation('a0.png', '<object><name>cat</name></object>'), "object 'cat' has no name or no box"),
        (annotation('a0.png', f'<object>{BOX}</object>'), "object '' has no name or no box"),
        (annotation('a0.png', CAT.replace('<xmin>5<', '<xmin>five<')), "object 'cat' has no name or no box"),
        (annotation('a0.png', '<object><name>cat</name><robndbox/></object>'), 'has oriented boxes (robndbox)'),
    ],
)
def test_damaged_files_are_counted_in_one_line(text: str, expected: str, tmp_path: Path) -> None:
    folder = source(tmp_path, annotation('a0.png', CAT), text, text)
    with pytest.raises(InputError) as raised:
        imported(folder)
    assert expected in str(raised.value)
    assert '2 of 3 XML files cannot be read; the first: ' in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['source']
