"""Images are found by whatever name labels give them."""

from pathlib import Path
from unicodedata import normalize

import pytest

from mmseq.datasets.own.tree import Tree
from tests.datasets.own.reading import picture

NAMED = {
    'cat 1.JPG': [
        'cat 1.JPG',
        'CAT 1.jpg',
        'images\\cat 1.jpg',
        'C:\\label-studio\\upload\\cat 1.JPG',
        'photos/cat%201.JPG',
        '/data/local-files/?d=cat%201.JPG',
        '/data/local-files/?d=yard%2Fcat 1.JPG',
        'https://host/yard/cat%201.JPG?token=a/b',
    ],
    'Grüße café.png': [normalize('NFD', 'Grüße café.png'), 'images/Grüße café.PNG', 'Gr%C3%BC%C3%9Fe caf%C3%A9.png'],
    normalize('NFD', 'é.png'): [normalize('NFC', 'é.png')],
    'what?.png': ['what?.png'],
}


@pytest.mark.parametrize(('file', 'named'), [(file, named) for file, names in NAMED.items() for named in names])
def test_an_image_is_found_by_its_name(file: str, named: str, tmp_path: Path) -> None:
    path = picture(tmp_path / 'source' / 'photos' / file)
    picture(tmp_path / 'source' / 'photos' / 'other.jpg')
    assert Tree([tmp_path / 'source']).image(named, tmp_path / 'source' / 'labels.json') == path


def test_others_are_not(tmp_path: Path) -> None:
    picture(tmp_path / 'a.jpg')
    tree = Tree([tmp_path])
    assert [tree.image(name, tmp_path / 'b.json') for name in ('b.jpg', '?d=', '', 'a.png')] == [None] * 4
