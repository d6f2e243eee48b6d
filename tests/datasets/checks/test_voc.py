"""Faults of VOC's XML files and lists are named before a training; upstream ends in a traceback or says nothing."""

from pathlib import Path

import pytest

from mmseq.datasets.checks.findings import Report
from mmseq.datasets.checks.voc import examine_voc
from tests.configs.layouts import HEIGHT, WIDTH, names, picture, xml

CLASSES = ('dog', 'person')


@pytest.fixture
def root(tmp_path: Path) -> Path:
    names(tmp_path / 'list.txt', ['1', '2'])
    for stem in '12':
        picture(tmp_path / f'JPEGImages/{stem}.jpg')
        xml(tmp_path / f'Annotations/{stem}.xml', CLASSES)
    return tmp_path


def examine(root: Path, classes: tuple[str, ...] = CLASSES, num_classes: int = 2) -> Report:
    folders = (str(root / name) for name in ('JPEGImages', 'Annotations'))
    return examine_voc(str(root / 'list.txt'), *folders, classes, num_classes)


def change(root: Path, old: str, new: str) -> None:
    path = root / 'Annotations/1.xml'
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_sound(root: Path) -> None:
    report = examine(root)
    assert report.findings == {}
    assert (report.total, report.checked) == (2, 2)


@pytest.mark.parametrize(
    'old, new, kind, said',
    [
        ('</annotation>', '', 'annotation_file', 'is not whole XML'),
        ('<name>dog</name>', '', 'annotation_file', 'object 0 has no name'),
        ('<xmin>9</xmin>', '', 'annotation_file', "object 'dog' has no bndbox of four numbers"),
        ('<xmin>9</xmin>', '<xmin>left</xmin>', 'annotation_file', 'no bndbox of four numbers'),
        ('<difficult>0</difficult>', '<difficult>Unspecified</difficult>', 'annotation_file', 'a difficult that is no'),
        (f'<width>{WIDTH}</width>', '<width></width>', 'annotation_file', 'its size has no whole width'),
        ('<xmin>9</xmin>', '<xmin>90</xmin>', 'malformed_boxes', 'has no area'),
        (f'<width>{WIDTH}</width>', '<width>200</width>', 'wrong_size', f'says {HEIGHT} x 200'),
    ],
)
def test_errors(root: Path, old: str, new: str, kind: str, said: str) -> None:
    change(root, old, new)
    (finding,) = examine(root).errors()
    assert (finding.kind, finding.count) == (kind, 1)
    assert said in finding.message
    assert '\n' not in finding.message


def test_warnings(root: Path) -> None:
    change(root, '<xmax>120</xmax>', '<xmax>129</xmax>')
    change(root, '<name>dog</name>', '<name>wolf</name>')
    report = examine(root, ('dog', 'person', 'sheep'), 3)
    assert {finding.kind: finding.count for finding in report.warnings()} == {
        'outside_boxes': 1,
        'unknown_classes': 1,
        'absent_classes': 1,
    }
    assert not report.errors()


def test_what_is_not_there(root: Path) -> None:
    (root / 'JPEGImages/1.jpg').unlink()
    (root / 'Annotations/2.xml').unlink()
    (finding,) = examine(root).errors()
    assert (finding.kind, finding.count, finding.examples) == ('missing', 2, ['1.jpg', '2.xml'])
    (root / 'list.txt').unlink()
    assert 'cannot be read as a list of names' in examine(root).errors()[0].message


def test_classes(root: Path) -> None:
    assert {finding.kind for finding in examine(root, ('cat', 'cow')).errors()} == {'absent_classes'}
    assert examine(root, num_classes=20).errors()[0].kind == 'head'
    names(root / 'list.txt', ['1', '1'])
    assert examine(root).errors()[0].kind == 'duplicate_ids'
