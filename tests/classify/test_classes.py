"""Whose names a classifier's outputs get."""

import pytest

from mmseq.classify.classes import find_classes
from mmseq.errors import InputError


def test_the_files_then_its_own_then_numbers(tmp_path):
    (tmp_path / 'names.txt').write_text('red fox\n\n cat \n')
    assert find_classes(2, tmp_path / 'names.txt', ('a', 'b')).names == ('red fox', 'cat')
    own = find_classes(2, None, ('a', 'b'))
    assert own.names == ('a', 'b')
    assert own.places == {'a': 0, 'b': 1}
    assert find_classes(3, None, ('a', 'b')).names == ('class 0', 'class 1', 'class 2')


def test_a_thousand_are_imagenets():
    pytest.importorskip('timm')
    found = find_classes(1000)
    assert found.places['n01440764'] == 0
    assert found.names[0].startswith('tench')
    assert len(found.places) == 1000


@pytest.mark.parametrize(
    'text,said', [('a\nb\nc\n', '3 names, and the weights have 2'), ('a\na\n', "'a' twice"), ('', 'is empty')]
)
def test_files_that_are_refused(tmp_path, text, said):
    (tmp_path / 'names.txt').write_text(text)
    with pytest.raises(InputError, match=said):
        find_classes(2, tmp_path / 'names.txt')
    with pytest.raises(InputError, match='cannot be read'):
        find_classes(2, tmp_path / 'absent.txt')
